"""The steps of a workflow as they pass: told to whoever watches, and timed."""

from __future__ import annotations

import time

from bundler.core.progress import Progress


class Steps:
    """Begins each step and keeps how many seconds the one before took."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._title: str | None = None
        self._began = 0.0
        self._seconds: list[tuple[str, float]] = []

    def begin(self, title: str) -> None:
        """The step before has ended, this one begins."""
        self.end()
        self._title, self._began = title, time.monotonic()
        self._progress.step(title)

    def end(self) -> None:
        """The last step has ended."""
        if self._title is not None:
            self._seconds.append((self._title, time.monotonic() - self._began))
            self._title = None

    @property
    def seconds(self) -> tuple[tuple[str, float], ...]:
        """Every ended step with its seconds, in order."""
        return tuple(self._seconds)
