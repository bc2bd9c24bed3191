"""What is shown of long steps: never backwards, never past the total, and as often as asked."""

from __future__ import annotations

import io
import json

import pytest

from bundler.cli.progress import BarProgress, JsonProgress, LineProgress, make_progress
from bundler.core.errors import UsageError
from bundler.core.progress import SilentProgress


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_lines_every_few_seconds() -> None:
    stream, clock = io.StringIO(), Clock()
    progress = LineProgress(stream, 5.0, clock)
    progress.step("load")
    with progress.task("model", 100 << 20) as task:
        for _ in range(20):
            clock.now += 1
            task.advance(5 << 20)
    assert stream.getvalue().splitlines() == [
        "== load",
        "   model: 25.0 MiB of 100.0 MiB (25 %), 5.0 MiB/s",
        "   model: 50.0 MiB of 100.0 MiB (50 %), 5.0 MiB/s",
        "   model: 75.0 MiB of 100.0 MiB (75 %), 5.0 MiB/s",
        "   model: 100.0 MiB of 100.0 MiB (100 %), 5.0 MiB/s",
        "   model: 100.0 MiB in 20 s",
    ]


def test_lines_of_a_task_that_waits() -> None:
    stream, clock = io.StringIO(), Clock()
    with LineProgress(stream, 5.0, clock).task("save", None) as task:
        for _ in range(11):
            clock.now += 1
            task.advance(0)
        task.advance(1 << 20)
    assert stream.getvalue().splitlines() == [
        "   save: waiting for 5.0 s",
        "   save: waiting for 10 s",
        "   save: 1.0 MiB in 11 s",
    ]


def test_json_never_runs_backwards_or_too_far() -> None:
    stream, clock = io.StringIO(), Clock()
    with JsonProgress(stream, 0.5, clock).task("model", 100) as task:
        for step in (30, -20, 0, 60, 50, 50):
            clock.now += 1
            task.advance(step)
    events = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [event["done"] for event in events] == [0, 30, 30, 30, 90, 100, 100, 100]
    assert events[-1]["ended"] == "well"
    assert all(event["total"] == 100 for event in events)


def test_failed_task_does_not_end_well() -> None:
    stream = io.StringIO()
    with pytest.raises(KeyError), JsonProgress(stream).task("model", None):
        raise KeyError
    assert json.loads(stream.getvalue().splitlines()[-1])["ended"] == "failed"
    lines = io.StringIO()
    with pytest.raises(KeyError), LineProgress(lines).task("model", None) as task:
        task.advance(1)
        raise KeyError
    assert lines.getvalue() == ""


def test_bar() -> None:
    stream = io.StringIO()
    with BarProgress(stream).task("model", 2048) as task:
        task.advance(4096)
    assert "model" in stream.getvalue()
    assert "2.00k/2.00k" in stream.getvalue().rpartition("\r")[2]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_auto_is_a_bar_on_a_terminal_alone() -> None:
    assert type(make_progress("auto", Terminal())) is BarProgress
    assert type(make_progress("auto", io.StringIO())) is LineProgress
    assert type(make_progress("json", Terminal())) is JsonProgress
    assert type(make_progress("none", Terminal())) is SilentProgress
    with pytest.raises(UsageError):
        make_progress("loud", Terminal())
