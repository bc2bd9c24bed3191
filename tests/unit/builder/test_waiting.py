"""Signs of life while something else works: they come, they tell of the right step, and they end with it."""

from __future__ import annotations

import io
import json
import threading
import time
from pathlib import Path

import pytest

from bundler.builder.engine_build.output import Redactor, Transcript
from bundler.builder.engine_build.values import BuilderJob
from bundler.builder.engine_build.waiting import repeated, waiting_task
from bundler.cli.progress import JsonProgress
from bundler.core.progress import SilentProgress

INTERVAL_S = 0.02


class Notes(SilentProgress):
    """Keeps what was said, and lets a test wait for it."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, text: str) -> None:
        self.lines.append(text)

    def wait_for(self, text: str) -> None:
        limit = time.monotonic() + 60
        while not any(text in line for line in self.lines):
            assert time.monotonic() < limit, f"{text!r} did not come: {self.lines}"
            time.sleep(INTERVAL_S)


def test_somebody_is_told_again_and_again_until_the_block_ends() -> None:
    told: list[float] = []
    enough = threading.Event()

    def tell(seconds: float) -> None:
        told.append(seconds)
        if len(told) == 3:
            enough.set()

    with repeated(tell, INTERVAL_S):
        assert enough.wait(60)
    count = len(told)
    time.sleep(5 * INTERVAL_S)
    assert len(told) == count
    assert told == sorted(told) and told[0] >= INTERVAL_S


def test_a_task_without_a_byte_is_shown_alive() -> None:
    stream = io.StringIO()
    with waiting_task(JsonProgress(stream, 0.1), "save"):
        limit = time.monotonic() + 60
        while stream.getvalue().count("\n") < 3:
            assert time.monotonic() < limit
            time.sleep(INTERVAL_S)
    events = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert {(event["label"], event["done"], event["total"]) for event in events} == {("save", 0, None)}
    assert events[-1]["ended"] == "well"


def test_a_failure_ends_the_telling() -> None:
    before = set(threading.enumerate())  # what other tests left may end meanwhile
    with pytest.raises(KeyError), waiting_task(SilentProgress(), "save"):
        raise KeyError
    assert set(threading.enumerate()) <= before


@pytest.mark.parametrize(
    ("lines", "doing"),
    [
        ([], "preparing"),
        (["#5 [2/2] RUN  make all"], "RUN  make all"),
        (["Step 2/2 : RUN make all"], "RUN make all"),
        (["#5 [2/2] RUN make all", "#5 3.1 compiling"], "RUN make all"),
        (["#5 [2/2] RUN make all", "#5 DONE 9.1s", "#6 exporting to docker image format"], "storing the image"),
    ],
)
def test_a_builder_that_is_silent_is_said_to_be_at_its_step(lines: list[str], doing: str) -> None:
    notes = Notes()
    job = BuilderJob("service:1", "Dockerfile", "", Path(), (), {}, {}, None, "linux/amd64", "p:1", {}, None)
    transcript = Transcript(job, notes, Redactor(()))
    with transcript.repeating(INTERVAL_S):
        for line in lines:
            transcript.line(line)
        notes.wait_for(f"service:1: still at {doing} (")
