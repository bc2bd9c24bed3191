"""A build in a process of its own that is watched by its progress, and stands still where a test wants to look or strike."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.build_site import BuildSite
from tests.support.waiting import PATIENCE_S, wait_until

Event = dict[str, Any]
#: Of every build, in their order, as their titles begin.
STEPS = (
    "resolve models and images",
    "check disk space",
    "download models",
    "build images with",
    "compose",
    "write the bundle",
    "read the bundle back",
    "rehearse",
    "write the kit",
)


@dataclass(frozen=True)
class Place:
    """A place in a build: a step, as its title begins, and so many bytes of a task in it or in one after it."""

    step: str
    done_size: int = 0


#: The command line in a process that stops itself at a place, so that it can't be past it before anyone sees it there.
_STANDING_STILL = """
import signal, threading
from bundler.__main__ import main
from bundler.cli import progress

begun = stood = False

def look(done_size):
    global stood
    if begun and not stood and done_size >= {done_size}:
        stood = True
        signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)

def step(self, title, told=progress.JsonProgress.step):
    global begun
    told(self, title)
    begun = begun or title.startswith({step!r})
    look(0)

def moved(self, size, told=progress._JsonTask.moved):
    told(self, size)
    look(self.done_size)

progress.JsonProgress.step, progress._JsonTask.moved = step, moved
main()
"""


class WatchedBuild:
    """``bundler build --progress json``, its events as they come. Made by ``watched``."""

    def __init__(self, site: BuildSite, options: tuple[str, ...], env: dict[str, str], stands_at: Place | None) -> None:
        self._changed = threading.Condition()
        self._ended = False
        self.events: list[Event] = []
        self.complaint = ""
        python, *program = site.command("--progress", "json", *options)
        if stands_at is not None:
            script = _STANDING_STILL.format(step=stands_at.step, done_size=stands_at.done_size)
            program = ["-c", script, *program[2:]]
        self.process = subprocess.Popen(
            [python, *program],
            env={**site.environment(), **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            event = _event(line)
            with self._changed:
                if event is None:
                    self.complaint += line
                else:
                    self.events.append(event)
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    @property
    def step(self) -> str:
        """The step that it is in."""
        with self._changed:
            return next((event["title"] for event in reversed(self.events) if event["event"] == "step"), "")

    def wait_for(self, wanted: Callable[[Event], bool]) -> Event:
        """The first event that is wanted; fails with the program's own words where it ends before."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended or any(map(wanted, self.events)), PATIENCE_S)
            found = next(filter(wanted, self.events), None)
        assert found is not None, f"it ended or hangs in {self.step!r}: {self.complaint}"
        return found

    def wait_standing(self) -> None:
        """Until it stands still, where ``watched`` was told or after SIGSTOP."""

        def stands() -> bool:
            assert self.process.poll() is None, f"it ended before: {self.complaint}"
            return state_of(self.process.pid) == "T"

        wait_until(stands)

    def strike(self, number: int) -> None:
        """Send a signal to the process, which is alive."""
        assert self.process.poll() is None, self.complaint
        self.process.send_signal(number)

    def end(self) -> int:
        """Wait for the end; gives the exit code."""
        code = self.process.wait(PATIENCE_S)
        self._reader.join(PATIENCE_S)
        return code


def state_of(pid: int) -> str:
    """The state of a process as proc(5) has it; empty for one that is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def _event(line: str) -> Event | None:
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) and "event" in value else None


@contextmanager
def watched(
    site: BuildSite,
    *options: str,
    env: dict[str, str] | None = None,
    stands_at: Place | None = None,
) -> Iterator[WatchedBuild]:
    """A running build that stops itself at a place, if one is named; whatever the test does, it is gone at the end."""
    build = WatchedBuild(site, options, env or {}, stands_at)
    try:
        yield build
    finally:
        if build.process.poll() is None:
            os.kill(build.process.pid, signal.SIGKILL)
        build.end()
        for stream in (build.process.stdout, build.process.stderr):
            if stream is not None:
                stream.close()


def in_step(title: str) -> Callable[[Event], bool]:
    """Whether an event begins the step."""
    return lambda event: event["event"] == "step" and event["title"].startswith(title)


def noted(text: str) -> Callable[[Event], bool]:
    """Whether an event is a note that contains ``text``."""
    return lambda event: event["event"] == "note" and text in event["text"]
