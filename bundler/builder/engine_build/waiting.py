"""Signs of life while something else works: an engine that writes a save, a builder in a long step, a registry."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from bundler.core.progress import Progress, Task

#: Between two lines about a step that says nothing by itself (seconds).
NOTE_INTERVAL_S = 5.0
_TASK_INTERVAL_S = 0.5


@contextmanager
def repeated(tell: Callable[[float], None], interval_s: float = NOTE_INTERVAL_S) -> Iterator[None]:
    """Call ``tell`` with the seconds since the block began, every ``interval_s`` until it ends, from another thread."""
    began, over = time.monotonic(), threading.Event()

    def run() -> None:
        while not over.wait(interval_s):
            tell(time.monotonic() - began)

    thread = threading.Thread(target=run, name="waiting", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextmanager
def waiting_task(progress: Progress, label: str) -> Iterator[Task]:
    """A task whose size nobody knows; it is shown as alive also before its first byte, and when none comes."""
    with progress.task(label, None) as task, repeated(lambda _: task.advance(0), _TASK_INTERVAL_S):
        yield task
