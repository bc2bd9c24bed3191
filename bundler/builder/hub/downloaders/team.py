"""The connections of one attempt at one file: what is still to be taken, who has trouble, and when it is over."""

from __future__ import annotations

import heapq
import threading
from collections.abc import Callable, Sequence

from bundler.builder.hub.downloaders.http import Answer
from bundler.builder.hub.journal import Segment
from bundler.builder.hub.retry import TransientError


class Team:
    """Shared by at most ``largest`` workers, each with one connection; ``over`` is set when they should stop."""

    def __init__(self, missing: Sequence[Segment], largest: int) -> None:
        self.largest = largest
        self.over = threading.Event()
        self._queue = [(each.index, each) for each in missing]
        self._left = len(missing)
        self._start: Callable[[], object] = lambda: None
        self._working = 0
        self._troubled: set[int] = set()
        self._open: set[Answer] = set()
        self._failure: BaseException | None = None
        self._lock = threading.RLock()

    def begin(self, start: Callable[[], object]) -> None:
        """Start the first worker by ``start()``; the others follow when `widen` says that there is use for them."""
        self._start = start
        self._add()

    def widen(self) -> None:
        """The server knows ranges."""
        with self._lock:
            if not self.over.is_set():
                for _ in range(self.largest - self._working if self._working == 1 else 0):
                    self._add()

    def _add(self) -> None:
        self._working += 1
        self._start()

    def take(self) -> Segment | None:
        """The first segment that nobody works on; None where there is none."""
        with self._lock:
            return heapq.heappop(self._queue)[1] if self._queue and not self.over.is_set() else None

    def put_back(self, segment: Segment) -> None:
        """Somebody else may take it."""
        with self._lock:
            heapq.heappush(self._queue, (segment.index, segment))

    def finished(self, count: int = 1) -> None:
        """So many more segments are whole."""
        with self._lock:
            self._left -= count
            if self._left <= 0:
                self.end()

    def leave(self) -> None:
        """A worker has nothing to do any more."""
        with self._lock:
            self._working -= 1
            self._troubled.discard(threading.get_ident())

    def advanced(self) -> None:
        """This worker brings something."""
        if self._troubled:
            with self._lock:
                self._troubled.discard(threading.get_ident())

    def troubled(self, error: TransientError) -> None:
        """This worker brings nothing; the attempt fails once none does."""
        with self._lock:
            self._troubled.add(threading.get_ident())
            if len(self._troubled) >= self._working:
                self.fail(error)

    def fail(self, error: BaseException) -> None:
        """End the attempt; the first error is the one that is raised."""
        with self._lock:
            if self._failure is None and not self.over.is_set():
                self._failure = error
            self.end()

    def end(self) -> None:
        """Let everybody stop, also who waits for a byte."""
        with self._lock:
            self.over.set()
            for answer in self._open:
                answer.abort()

    def enter(self, answer: Answer) -> None:
        """An answer is being read."""
        with self._lock:
            self._open.add(answer)
            if self.over.is_set():
                answer.abort()

    def exit(self, answer: Answer) -> None:
        """An answer is not read any more."""
        with self._lock:
            self._open.discard(answer)
            answer.close()

    def require_done(self) -> None:
        """Raise the error that ended the attempt."""
        if self._failure is not None:
            raise self._failure
