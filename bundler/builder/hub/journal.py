"""The form of a part's journal: a header, then one record for each segment of the file.

A record has two numbers: how many bytes from the segment's start are written, and how many of these are on the disk
for certain. It is written after its bytes, by one write of 16 bytes that crosses no page; so a process may be killed
at any moment, and the journal says at most less than what is there. After a restart of the machine only the second
number is believed. A journal that is cut, or of another file, counts for nothing.
"""

from __future__ import annotations

import hashlib
import struct
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_MAGIC = b"bundler part 1\n\0"
_HEADER = struct.Struct("<16s32s16s16sQQ16x")  # magic, sha256 of the name, nonce, boot, file size, segment size
_RECORD = struct.Struct("<QQ")
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_SMALLEST_SEGMENT = 4 << 20
_USUAL_SEGMENT = 8 << 20
_LARGEST_SEGMENT = 32 << 20


@dataclass(frozen=True)
class Segment:
    """A stretch of the file, from ``start`` up to ``end`` (exclusive)."""

    index: int
    start: int
    end: int

    @property
    def size(self) -> int:
        """Bytes."""
        return self.end - self.start


@dataclass(frozen=True)
class Journal:
    """What a journal says. ``nonce`` is another one whenever the file begins anew."""

    size: int
    segment_size: int
    nonce: bytes
    written: tuple[int, ...]
    synced: tuple[int, ...]

    @classmethod
    def new(cls, size: int) -> Journal:
        """Of a file of which nothing is here."""
        segment = segment_size(size)
        nothing = (0,) * -(-size // segment)
        return cls(size, segment, uuid.uuid4().bytes, nothing, nothing)

    @classmethod
    def parse(cls, content: bytes, name: str) -> Journal | None:
        """What ``content`` says about the part called ``name``; None where it says nothing sound."""
        if len(content) < _HEADER.size:
            return None
        magic, key, nonce, boot, size, segment = _HEADER.unpack_from(content)
        body = content[_HEADER.size :]
        if (magic, key) != (_MAGIC, _key(name)) or not segment or len(body) != -(-size // segment) * _RECORD.size:
            return None
        records = tuple(_RECORD.iter_unpack(body))
        synced = tuple(each[1] for each in records)
        written = tuple(each[0] for each in records) if boot == _boot() else synced
        journal = cls(size, segment, nonce, written, synced)
        bounded = (0 <= s <= w <= each.size for w, s, each in zip(written, synced, journal.segments(), strict=True))
        return journal if all(bounded) else None

    def content(self, name: str) -> bytes:
        """The journal's bytes, for the part called ``name``."""
        header = _HEADER.pack(_MAGIC, _key(name), self.nonce, _boot(), self.size, self.segment_size)
        return header + b"".join(record(*each) for each in zip(self.written, self.synced, strict=True))

    def segments(self) -> Iterator[Segment]:
        """All of the file, in ascending order."""
        for index, start in enumerate(range(0, self.size, self.segment_size)):
            yield Segment(index, start, min(start + self.segment_size, self.size))


def record(written: int, synced: int) -> bytes:
    """One segment's record."""
    return _RECORD.pack(written, synced)


def place_of(index: int) -> int:
    """Where in the journal a segment's record stands."""
    return _HEADER.size + index * _RECORD.size


def segment_size(size: int) -> int:
    """Bytes of a segment in a file of ``size``: enough segments for all connections, few enough to ask for."""
    eighth = -(-size // (8 << 20)) << 20
    usual = max(_SMALLEST_SEGMENT, min(eighth, _USUAL_SEGMENT))
    return min(max(usual, size >> 9 & ~0xFFFFF), _LARGEST_SEGMENT)


def _key(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()


def _boot() -> bytes:
    """Which start of the machine this is; all zeros where the kernel does not say."""
    with suppress(OSError, ValueError):
        return uuid.UUID(_BOOT_ID.read_text().strip()).bytes
    return bytes(16)
