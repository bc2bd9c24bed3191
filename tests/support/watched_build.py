"""A build in a process of its own that is watched by its progress, and stopped where a test wants to look or strike."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.build_site import BuildSite

Event = dict[str, Any]
PATIENCE_S = 60.0
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


class WatchedBuild:
    """``bundler build --progress json``, its events as they come. Made by ``watched``.

    ``stop_at`` says, event by event, when the process is to stand still (SIGSTOP), at once and before anyone else acts.
    """

    def __init__(
        self, site: BuildSite, options: tuple[str, ...], env: dict[str, str], stop_at: Callable[[Event], bool] | None
    ) -> None:
        self._stop_at = stop_at
        self._changed = threading.Condition()
        self._ended = False
        self.events: list[Event] = []
        self.complaint = ""
        self.process = subprocess.Popen(
            site.command("--progress", "json", *options),
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
            if event is not None and self._stop_at is not None and self._stop_at(event):
                self._stop_at = None
                self.process.send_signal(signal.SIGSTOP)
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

    def wait_stopped(self) -> None:
        """Until it stands still, after ``stop_at``."""
        deadline = time.monotonic() + PATIENCE_S
        while state_of(self.process.pid) != "T":
            assert self.process.poll() is None, f"it ended before: {self.complaint}"
            assert time.monotonic() < deadline, f"it passed the place, and is in {self.step!r}"
            time.sleep(0.005)
        time.sleep(0.05)  # what it had written before is read

    def go_on(self, size: int) -> None:
        """Let it run, in slices of a moment, until it has read that many bytes more, and stand still again."""
        wanted = self._bytes_read() + size
        while self._bytes_read() < wanted:
            self.strike(signal.SIGCONT)
            time.sleep(0.001)
            self.strike(signal.SIGSTOP)
            self.wait_stopped()

    def _bytes_read(self) -> int:
        """What it has asked of files so far (proc(5), ``/proc/<pid>/io``: ``rchar``)."""
        return int(Path(f"/proc/{self.process.pid}/io").read_text().split()[1])

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
    stop_at: Callable[[Event], bool] | None = None,
) -> Iterator[WatchedBuild]:
    """A running build; whatever the test does, it is gone at the end."""
    build = WatchedBuild(site, options, env or {}, stop_at)
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


def reached(label: str, place: float) -> Callable[[Event], bool]:
    """Whether a task has done that part of its total."""
    return lambda event: (
        event["event"] == "task" and label in event["label"] and event["done"] >= place * event["total"]
    )
