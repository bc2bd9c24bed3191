"""Hashing behind the writers: what is here without a gap is read back, mostly out of memory, while more comes."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from types import TracebackType

from bundler.builder.hub.digests import Digests
from bundler.builder.lock import LockedFile
from bundler.core.digest import CHUNK_BYTES

_POLL_S = 0.02


class HashingBehind:
    """A thread that feeds ``digests`` with a file's bytes up to ``ready()``, which only grows.

    ``digests`` goes on from what it has taken before, so that a file that comes in many attempts is read once.
    """

    def __init__(self, descriptor: int, digests: Digests, ready: Callable[[], int]) -> None:
        self._descriptor = descriptor
        self._digests = digests
        self._ready = ready
        self._complete = threading.Event()
        self._dropped = threading.Event()
        self._failure: OSError | None = None
        self._thread = threading.Thread(target=self._run, name="hashing", daemon=True)

    def __enter__(self) -> HashingBehind:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._dropped.set()
        self._complete.set()
        self._thread.join()

    def finish(self) -> Digests:
        """The digests of everything that is ready now; raises OSError where the file cannot be read."""
        self._complete.set()
        self._thread.join()
        if self._failure is not None:
            raise self._failure
        return self._digests

    def _run(self) -> None:
        buffer = memoryview(bytearray(CHUNK_BYTES))
        try:
            while not self._dropped.is_set():
                complete = self._complete.is_set()  # asked before how much is ready
                if self._digests.size < (ready := self._ready()):
                    self._take(buffer, ready)
                elif complete:
                    return
                else:
                    self._complete.wait(_POLL_S)
        except OSError as error:
            self._failure = error

    def _take(self, buffer: memoryview, ready: int) -> None:
        """Up to one buffer more."""
        size = min(len(buffer), ready - self._digests.size)
        count = os.preadv(self._descriptor, [buffer[:size]], self._digests.size)
        if count == 0:
            raise OSError(errno.EIO, "the unfinished file is shorter than it was written")
        self._digests.update(buffer[:count])


class Remembered:
    """The digests of files that came in part, for the next attempt of this run at the same one."""

    def __init__(self) -> None:
        self._digests: dict[bytes, Digests] = {}
        self._lock = threading.Lock()

    def of(self, file: LockedFile, nonce: bytes, prefix: int) -> Digests:
        """Those that have taken some of the part called ``nonce``, or new ones."""
        with self._lock:
            known = self._digests.setdefault(nonce, Digests(file))
            if known.size > prefix:
                known = self._digests[nonce] = Digests(file)
            return known

    def forget(self, nonce: bytes) -> None:
        """The file is whole."""
        with self._lock:
            self._digests.pop(nonce, None)
