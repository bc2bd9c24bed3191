"""The files of a layer that bundler wrote, out of its tar as it streams by.

Sources: POSIX.1-2008, pax, "ustar Interchange Format" and "pax Extended Header". Of the records those count that
``builder/layer.py`` writes. Nothing of the size that a header states is held in memory: the tar is hostile until its
files turn out to be the model's.
"""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Iterator
from typing import BinaryIO

from bundler.core.digest import CHUNK_BYTES, Digest
from bundler.core.tarball import BLOCK, padding

#: Bytes of pax records before one header; a path has 4096 at most.
_MOST_RECORDS = 64 << 10


def file_digests(plain: BinaryIO) -> Iterator[tuple[str, tuple[int, Digest]]]:
    """Name, size and digest of every file; size -1 for what is neither a file nor a directory.

    Raises ValueError, tarfile.TarError among what it may raise, where it is no tar of that form.
    """
    records: dict[str, str] = {}
    while (header := _take(plain, BLOCK)) != bytes(BLOCK):
        entry = tarfile.TarInfo.frombuf(header, "utf-8", "surrogateescape")
        size = int(records.get("size", entry.size))
        if size < 0:
            raise ValueError("a size below zero")
        if entry.type == tarfile.XHDTYPE and not records:
            records = _records(_padded(plain, size))
            continue
        name = records.get("path", entry.name)
        records = {}
        if entry.type == tarfile.REGTYPE:
            yield name, (size, _digest_of(plain, size))
        elif entry.type != tarfile.DIRTYPE:
            yield name, (-1, Digest.of(b""))


def _digest_of(plain: BinaryIO, size: int) -> Digest:
    hasher, left = hashlib.sha256(), size
    while left:
        chunk = plain.read(min(CHUNK_BYTES, left))
        if not chunk:
            raise ValueError("it is cut off")
        hasher.update(chunk)
        left -= len(chunk)
    _take(plain, padding(size))
    return Digest(hasher.hexdigest())


def _padded(plain: BinaryIO, size: int) -> bytes:
    if size > _MOST_RECORDS:
        raise ValueError(f"{size} bytes of pax records")
    content = _take(plain, size)
    _take(plain, padding(size))
    return content


def _records(content: bytes) -> dict[str, str]:
    """``LENGTH KEY=VALUE\\n``, one after the other."""
    found = {}
    while content:
        length = int(content.partition(b" ")[0])
        record, content = content[:length], content[length:]
        key, equals, value = record.partition(b" ")[2].partition(b"=")
        if not 0 < length == len(record) or not equals or value[-1:] != b"\n":
            raise ValueError("pax records that are none")
        found[key.decode()] = value[:-1].decode()
    return found


def _take(plain: BinaryIO, size: int) -> bytes:
    """Exactly so many bytes."""
    content = b""
    while len(content) < size:
        chunk = plain.read(size - len(content))
        if not chunk:
            raise ValueError("it is cut off")
        content += chunk
    return content
