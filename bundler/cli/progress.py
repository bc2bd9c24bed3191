"""What a person or a program sees of a long step: a bar on a terminal, lines in a log, JSON lines, or nothing.

Everything goes to standard error; standard output is for results. What is shown never runs backwards and never
passes its total.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from types import TracebackType
from typing import Any, Callable, Optional, TextIO, cast

from bundler.cli.streams import Lasting
from bundler.cli.tables import human_size, human_time
from bundler.core.errors import UsageError
from bundler.core.progress import Progress, SilentProgress, Task

MODES = ("auto", "bar", "lines", "json", "none")
LINE_INTERVAL_S = 5.0
JSON_INTERVAL_S = 0.5
_FALLBACK_COLUMNS = 80
Clock = Callable[[], float]


def make_progress(mode: str, stream: Optional[TextIO] = None) -> Progress:
    """The progress of that mode on ``stream`` (standard error); ``auto`` is a bar on a terminal, lines elsewhere."""
    stream = cast("TextIO", Lasting(sys.stderr if stream is None else stream))
    if mode == "auto":
        mode = "bar" if stream.isatty() else "lines"
    makers: dict[str, Callable[[TextIO], Progress]] = {
        "bar": BarProgress,
        "lines": LineProgress,
        "json": JsonProgress,
        "none": lambda _: SilentProgress(),
    }
    if mode not in makers:
        raise UsageError(f"there is no progress {mode!r}", where="--progress", remedy=f"use one of {', '.join(MODES)}")
    return makers[mode](stream)


class Meter:
    """Counts bytes up to a total, from any thread; subclasses show it. Ends once, with the block."""

    def __init__(self, label: str, total_size: Optional[int], clock: Clock = time.monotonic) -> None:
        self.label = label
        self.total_size = total_size
        self.done_size = 0
        self._clock = clock
        self._started = clock()
        self._lock = threading.Lock()

    @property
    def seconds(self) -> float:
        """Since it began."""
        return self._clock() - self._started

    def advance(self, size: int) -> None:
        """``size`` more bytes are done; what would pass the total, or go back, is not counted."""
        with self._lock:
            wanted = self.done_size + max(size, 0)
            reached = wanted if self.total_size is None else min(wanted, max(self.total_size, self.done_size))
            step, self.done_size = reached - self.done_size, reached
            self.moved(step)

    def moved(self, step: int) -> None:
        """Show that ``step`` more bytes are done."""

    def ended(self, *, well: bool) -> None:
        """Show that it is over."""

    def __enter__(self) -> Meter:
        return self

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
        /,
    ) -> None:
        with self._lock:
            self.ended(well=kind is None)


class LineProgress:
    """A line for each step, one every few seconds of a task, and one at its end."""

    def __init__(self, stream: TextIO, interval_s: float = LINE_INTERVAL_S, clock: Clock = time.monotonic) -> None:
        self._stream = stream
        self._interval_s = interval_s
        self._clock = clock

    def step(self, title: str) -> None:
        """One line."""
        self.write(f"== {title}")

    def note(self, text: str) -> None:
        """One line."""
        self.write(f"   {text}")

    def task(self, label: str, total_size: Optional[int]) -> Task:
        """A task in lines."""
        return _LineTask(self, label, total_size, self._interval_s, self._clock)

    def write(self, line: str) -> None:
        """Write a line at once, so that a log shows where a run stands."""
        self._stream.write(line + "\n")
        self._stream.flush()


class _LineTask(Meter):
    def __init__(
        self, progress: LineProgress, label: str, total_size: Optional[int], interval_s: float, clock: Clock
    ) -> None:
        super().__init__(label, total_size, clock)
        self._progress = progress
        self._interval_s = interval_s
        self._next_s = interval_s

    def moved(self, step: int) -> None:
        del step
        if self.seconds >= self._next_s:
            self._next_s = self.seconds + self._interval_s
            self._progress.note(f"{self.label}: {self._amount()}")

    def ended(self, *, well: bool) -> None:
        if well and (self.done_size or self.seconds >= self._interval_s):
            self._progress.note(f"{self.label}: {human_size(self.done_size)} in {human_time(self.seconds)}")

    def _amount(self) -> str:
        if not self.done_size:
            return f"waiting for {human_time(self.seconds)}"
        speed = f"{human_size(int(self.done_size / self.seconds))}/s"
        if not self.total_size:
            return f"{human_size(self.done_size)}, {speed}"
        percent = 100 * self.done_size // self.total_size
        return f"{human_size(self.done_size)} of {human_size(self.total_size)} ({percent} %), {speed}"


class JsonProgress:
    """JSON lines: ``{"event": "step" | "note" | "task", …}``; a task has ``label``, ``done``, ``total`` (bytes)."""

    def __init__(self, stream: TextIO, interval_s: float = JSON_INTERVAL_S, clock: Clock = time.monotonic) -> None:
        self._stream = stream
        self._interval_s = interval_s
        self._clock = clock

    def step(self, title: str) -> None:
        """One object."""
        self.write({"event": "step", "title": title})

    def note(self, text: str) -> None:
        """One object."""
        self.write({"event": "note", "text": text})

    def task(self, label: str, total_size: Optional[int]) -> Task:
        """A task in objects: at its begin, every half second, and at its end with ``ended``."""
        return _JsonTask(self, label, total_size, self._interval_s, self._clock)

    def write(self, value: dict[str, Any]) -> None:
        """Write one object as one line."""
        self._stream.write(json.dumps(value, ensure_ascii=True) + "\n")
        self._stream.flush()


class _JsonTask(Meter):
    def __init__(
        self, progress: JsonProgress, label: str, total_size: Optional[int], interval_s: float, clock: Clock
    ) -> None:
        super().__init__(label, total_size, clock)
        self._progress = progress
        self._interval_s = interval_s
        self._next_s = interval_s
        self._show()

    def moved(self, step: int) -> None:
        del step
        if self.seconds >= self._next_s:
            self._next_s = self.seconds + self._interval_s
            self._show()

    def ended(self, *, well: bool) -> None:
        self._show(ended="well" if well else "failed", seconds=round(self.seconds, 3))

    def _show(self, **more: object) -> None:
        value = {"event": "task", "label": self.label, "done": self.done_size, "total": self.total_size}
        self._progress.write({**value, **more})


class BarProgress(LineProgress):
    """Bars for tasks, lines for the rest."""

    def task(self, label: str, total_size: Optional[int]) -> Task:
        """A task as a bar."""
        return _BarTask(self._stream, label, total_size)


def _has_no_width(stream: TextIO) -> bool:
    """Serial lines and terminals of containers say that they are 0 columns wide; tqdm would draw nothing."""
    try:
        return os.get_terminal_size(stream.fileno()).columns == 0
    except (OSError, ValueError):  # no terminal, or not even a file
        return False


class _BarTask(Meter):
    def __init__(self, stream: TextIO, label: str, total_size: Optional[int]) -> None:
        from tqdm import tqdm  # noqa: PLC0415 - late: most commands show no bar

        super().__init__(label, total_size)
        tqdm.monitor_interval = 0  # no thread beside ours
        self._bar = tqdm(
            total=total_size,
            desc=label,
            unit="B",
            unit_scale=True,
            unit_divisor=1024,
            file=stream,
            ncols=_FALLBACK_COLUMNS if _has_no_width(stream) else None,
        )

    def moved(self, step: int) -> None:
        self._bar.update(step)

    def ended(self, *, well: bool) -> None:
        del well
        self._bar.close()
