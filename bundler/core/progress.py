"""What a long step tells about itself; what a person sees of it is decided at the front door (``bundler.cli``)."""

from __future__ import annotations

from types import TracebackType
from typing import BinaryIO, Optional, Protocol


class Task(Protocol):
    """One measured piece of work; a context manager that ends it."""

    def advance(self, size: int) -> None:
        """``size`` more bytes are done."""

    def __enter__(self) -> Task: ...

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
        /,
    ) -> None: ...


class Progress(Protocol):
    """The workflow's voice."""

    def step(self, title: str) -> None:
        """The next step of the workflow begins; the one before has ended."""

    def note(self, text: str) -> None:
        """One line that a person should know."""

    def task(self, label: str, total_size: Optional[int]) -> Task:
        """Begin a measured piece of work of ``total_size`` bytes (None: not known)."""


class SilentTask:
    """A task that nobody watches."""

    def advance(self, size: int) -> None:
        """Say nothing."""

    def __enter__(self) -> SilentTask:
        return self

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
        /,
    ) -> None:
        """Say nothing."""


class SilentProgress:
    """Says nothing: for callers that are programs, and for tests."""

    def step(self, title: str) -> None:
        """Say nothing."""

    def note(self, text: str) -> None:
        """Say nothing."""

    def task(self, label: str, total_size: Optional[int]) -> Task:  # noqa: ARG002
        """A task that nobody watches."""
        return SilentTask()


class ObservedReader:
    """A stream whose reading advances a task."""

    def __init__(self, stream: BinaryIO, task: Task) -> None:
        self._stream = stream
        self._task = task

    def read(self, size: int = -1) -> bytes:
        """Read from the stream beneath."""
        content = self._stream.read(size)
        self._task.advance(len(content))
        return content
