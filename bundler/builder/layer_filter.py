"""A plain layer without some of its entries, every other byte of it as it was, streamed.

Source: POSIX.1-2001 ``pax``; GNU tar's manual, "Basic Tar Format" (long names: types ``L`` and ``K``).
"""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from typing import BinaryIO, cast

from bundler.core.digest import CHUNK_BYTES
from bundler.core.errors import BuildError
from bundler.core.readers import ChunkReader
from bundler.core.tarball import BLOCK, padding

_MAX_EXTENSION = 1 << 20
#: Links, devices, directories and FIFOs, whatever their size field says.
_WITHOUT_CONTENT = (b"1", b"2", b"3", b"4", b"5", b"6")
_LONG_NAME, _LONG_LINK, _PAX, _PAX_GLOBAL = b"L", b"K", b"x", b"g"


def without_entries(stream: BinaryIO, names: AbstractSet[str], where: str) -> BinaryIO:
    """``stream`` without the entries called ``names``, which carry no content. Raises BuildError where it is no tar."""
    return cast("BinaryIO", ChunkReader(_filtered(stream, names, where)))


def _filtered(stream: BinaryIO, names: AbstractSet[str], where: str) -> Iterator[bytes]:
    """Extension headers wait for the entry that they belong to, and go or stay with it."""
    held: list[bytes] = []
    name, size = "", -1
    while (header := _exactly(stream, BLOCK, where)) != bytes(BLOCK):
        kind, length = header[156:157], _number(header[124:136], where)
        if kind in (_LONG_NAME, _LONG_LINK, _PAX, _PAX_GLOBAL):
            content = _extension(stream, length, where)
            held.append(header + content)
            name, size = _told(kind, content[:length], name, size)
            continue
        length = 0 if kind in _WITHOUT_CONTENT else length if size < 0 else size
        if (name or _ustar_name(header)) in names:
            _exactly(stream, length + padding(length), where)
        else:
            yield b"".join(held) + header
            yield from _content(stream, length + padding(length), where)
        held, name, size = [], "", -1
    yield b"".join(held) + header
    while chunk := stream.read(CHUNK_BYTES):
        yield chunk


def _extension(stream: BinaryIO, length: int, where: str) -> bytes:
    if length > _MAX_EXTENSION:
        raise _refused(where)
    return _exactly(stream, length + padding(length), where)


def _told(kind: bytes, content: bytes, name: str, size: int) -> tuple[str, int]:
    """What an extension says of the next entry's name and size."""
    if kind == _LONG_NAME:
        return content.rstrip(b"\0").decode(errors="surrogateescape"), size
    if kind != _PAX:
        return name, size
    records = _records(content)
    path = records.get(b"path")
    name = path.decode(errors="surrogateescape") if path is not None else name
    stated = records.get(b"size", b"")
    return name, int(stated) if stated.isdigit() else size


def _records(content: bytes) -> dict[bytes, bytes]:
    """``LENGTH KEY=VALUE\\n`` one after the other."""
    found: dict[bytes, bytes] = {}
    while content:
        length = content.partition(b" ")[0]
        if not length.isdigit() or int(length) == 0:
            break
        key, _, value = content[len(length) + 1 : int(length) - 1].partition(b"=")
        found[key] = value
        content = content[int(length) :]
    return found


def _ustar_name(header: bytes) -> str:
    name, prefix = header[:100].partition(b"\0")[0], b""
    if header[257:263] == b"ustar\0":
        prefix = header[345:500].partition(b"\0")[0]
    return (prefix + b"/" + name if prefix else name).decode(errors="surrogateescape")


def _number(field: bytes, where: str) -> int:
    try:
        if field[:1] == b"\x80":
            return int.from_bytes(field[1:], "big")
        return int(field.replace(b"\0", b" ").strip() or b"0", 8)
    except ValueError as error:
        raise _refused(where) from error


def _content(stream: BinaryIO, size: int, where: str) -> Iterator[bytes]:
    while size:
        chunk = stream.read(min(size, CHUNK_BYTES))
        if not chunk:
            raise _refused(where)
        size -= len(chunk)
        yield chunk


def _exactly(stream: BinaryIO, size: int, where: str) -> bytes:
    return b"".join(_content(stream, size, where))


def _refused(where: str) -> BuildError:
    return BuildError(
        "the engine exported something that is not a layer",
        where=where,
        remedy="run the same command again; the engine's store may be damaged",
    )
