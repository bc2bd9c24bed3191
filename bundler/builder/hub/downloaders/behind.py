"""A file that somebody else writes from its start to its end: hashed behind the writer, and kept where it breaks."""

from __future__ import annotations

import os
from contextlib import suppress
from types import TracebackType

from bundler.builder.hub.digests import Digests, digests_of
from bundler.builder.hub.downloader import Order
from bundler.builder.hub.downloaders.hashing import HashingBehind

#: Before a hole, the last page may be half written, or what the writer has in hand.
_SLACK_BYTES = 4 << 20


class Behind:
    """Around the writing of ``order``'s part, which begins anew. Leaves what came without a gap to the next attempt.

    How far the writer is, the file system says: up to its first hole (lseek(2), SEEK_HOLE) where ranges are written in
    any order, up to its end where not. That is a guess, so a digest that does not fit is computed once more.
    """

    def __init__(self, order: Order, *, in_order: bool) -> None:
        order.part.discard()
        self._order = order
        self._in_order = in_order
        self._whole = False
        self._descriptor = os.open(order.part.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self._hashing = HashingBehind(self._descriptor, Digests(order.file), self._ready)

    def __enter__(self) -> Behind:
        self._hashing.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._hashing.__exit__(kind, error, trace)
        with suppress(OSError):
            if not self._whole:
                self._order.part.adopt(self._order.file.size, self._ready())
        os.close(self._descriptor)

    def finish(self) -> Digests:
        """The digests of the file, of which the writer says that it is whole."""
        self._whole = True
        digests = self._hashing.finish()
        return digests if digests.fit() else digests_of(self._order.part.path, self._order.file)

    def _ready(self) -> int:
        """Bytes from the start that are there for certain, as far as the file system knows."""
        end = os.fstat(self._descriptor).st_size
        if self._whole or self._in_order or not end:
            return end
        return max(0, os.lseek(self._descriptor, 0, os.SEEK_HOLE) - _SLACK_BYTES)
