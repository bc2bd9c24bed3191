"""A file that is not whole yet, and what of it is here.

What the journal says (`bundler.builder.hub.journal`) is no more than a saving of bytes: the whole file is compared
with its digest in any case.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from bundler.builder.hub.journal import Journal, Segment, place_of, record

#: The kernel writes back what is older than 30 s by itself, so to ask for it as often costs next to nothing.
_SYNC_EVERY_S = 30.0


@dataclass(frozen=True)
class Part:
    """The unfinished file at ``path``; its journal stands beside it."""

    path: Path

    @property
    def journal(self) -> Path:
        """Which bytes are here."""
        return self.path.with_name(self.path.name + ".journal")

    def here(self) -> int:
        """Bytes that need not be brought again; 0 where the journal is missing or not of this file."""
        journal = self._read()
        return sum(journal.written) if journal else 0

    def discard(self) -> None:
        """Begin anew."""
        for path in (self.journal, self._new_journal, self.path):
            path.unlink(missing_ok=True)

    @property
    def _new_journal(self) -> Path:
        return self.journal.with_name(self.journal.name + ".new")

    def adopt(self, size: int, prefix: int) -> None:
        """Take the file that stands at ``path`` for a part of which the first ``prefix`` bytes are here."""
        os.truncate(self.path, size)
        journal = Journal.new(size)
        written = tuple(min(max(0, prefix - each.start), each.size) for each in journal.segments())
        self._write(replace(journal, written=written))

    @contextmanager
    def opened(self, size: int) -> Iterator[OpenPart]:
        """The part for writing, with what of it is here; raises OSError. The caller sees to it that it is alone."""
        journal = self._read()
        if journal is None or journal.size != size:
            journal = self._begun(size)
        self._write(journal)
        with _descriptor(self.path) as data, _descriptor(self.journal) as records:
            opened = OpenPart(data, records, journal)
            try:
                yield opened
            finally:
                if opened.missing():  # a whole file is flushed by who keeps it
                    with suppress(OSError):
                        opened.sync()

    def _read(self) -> Journal | None:
        with suppress(OSError):
            journal = Journal.parse(self.journal.read_bytes(), self.path.name)
            if journal is not None and journal.size == self.path.stat().st_size:
                return journal
        return None

    def _begun(self, size: int) -> Journal:
        self.discard()
        with self.path.open("wb") as stream:
            stream.truncate(size)
        return Journal.new(size)

    def _write(self, journal: Journal) -> None:
        """Anew at each opening, for the start of the machine that it speaks of is this one from now on."""
        temporary = self._new_journal
        try:
            temporary.write_bytes(journal.content(self.path.name))
            temporary.replace(self.journal)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise


class OpenPart:
    """A part under work: one thread at a time writes a segment, any number of segments are written side by side."""

    def __init__(self, descriptor: int, records: int, journal: Journal) -> None:
        self.descriptor = descriptor
        self.nonce = journal.nonce
        self.size = journal.size
        self.segments = tuple(journal.segments())
        self._records = records
        self._written = list(journal.written)
        self._marked = list(journal.written)
        self._synced = list(journal.synced)
        self._next_sync = time.monotonic() + _SYNC_EVERY_S
        self._whole_before = 0

    def written(self, segment: Segment) -> int:
        """Bytes of the segment that are here, from its start."""
        return self._written[segment.index]

    def missing(self) -> list[Segment]:
        """Segments that are not whole, in ascending order."""
        return [each for each in self.segments if self._written[each.index] < each.size]

    def here(self) -> int:
        """Bytes of the file that are here."""
        return sum(self._written)

    def prefix(self) -> int:
        """Bytes from the file's start that are here without a gap. For one thread alone."""
        while self._whole_before < len(self.segments):
            segment = self.segments[self._whole_before]
            written = self._written[segment.index]
            if written < segment.size:
                return segment.start + written
            self._whole_before += 1
        return self.size

    def write(self, segment: Segment, content: bytes | memoryview) -> None:
        """Put ``content`` behind what the segment has; the journal hears of it by `mark`. Raises OSError."""
        left = memoryview(content)
        at = segment.start + self._written[segment.index]
        while left:
            count = os.pwrite(self.descriptor, left, at)
            left, at = left[count:], at + count
        self._written[segment.index] += len(content)

    def unmarked(self, segment: Segment) -> int:
        """Bytes of the segment that would have to be brought again after a kill."""
        return self._written[segment.index] - self._marked[segment.index]

    def mark(self, segment: Segment) -> None:
        """Say in the journal what of the segment is here."""
        self._marked[segment.index] = self._written[segment.index]
        self._record(segment.index)
        if time.monotonic() >= self._next_sync:
            self._next_sync = time.monotonic() + _SYNC_EVERY_S
            self.sync()

    def sync(self) -> None:
        """Have on the disk what is marked, and say so in the journal."""
        marked = list(self._marked)
        if marked == self._synced:
            return
        os.fdatasync(self.descriptor)
        for index in (index for index, value in enumerate(marked) if value != self._synced[index]):
            self._synced[index] = marked[index]
            self._record(index)
        os.fdatasync(self._records)

    def _record(self, index: int) -> None:
        os.pwrite(self._records, record(self._marked[index], self._synced[index]), place_of(index))


@contextmanager
def _descriptor(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
