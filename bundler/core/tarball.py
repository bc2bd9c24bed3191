"""The bundle's tar, written and read in one canonical form only.

Every member is a regular file, mode 0644, uid and gid 0, mtime 0, with a relative, normalised name: one ustar header
(POSIX.1-1988, "ustar Interchange Format"), whose size is octal below 8 GiB and GNU base-256 from there on, as the
header is patched in place after the content. The end is two zero blocks and nothing after them. The reader renders
each header anew from what it understood and refuses any other byte, so what it accepts has one meaning in every
program that reads tars.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import BinaryIO

from bundler.core.errors import BundleError

BLOCK = 512
END = bytes(2 * BLOCK)
MAX_MEMBERS = 100_000
_OCTAL_LIMIT = 8 << 30
_OCTAL = re.compile(rb"[0-7]{11}\0")
_REMEDY = "the file is damaged or was not made by bundler: bring it here again"


@dataclass(frozen=True)
class Member:
    """A member: its name, where its content begins in the file (bytes), and its size (bytes)."""

    name: str
    offset: int
    size: int


def padding(size: int) -> int:
    """Zero bytes between the end of a content of ``size`` bytes and the next header."""
    return -size % BLOCK


def render_header(name: str, size: int) -> bytes:
    """The 512 bytes that stand before a member; raises ValueError for a name that has no canonical form."""
    prefix, rest = _split_name(name)
    length = b"%011o\0" % size if size < _OCTAL_LIMIT else b"\x80" + size.to_bytes(11, "big")
    head = rest.ljust(100, b"\0") + b"0000644\0" + b"0000000\0" * 2 + length + b"00000000000\0"
    tail = b"0" + bytes(100) + b"ustar\x0000" + bytes(64) + b"0000000\0" * 2 + prefix.ljust(155, b"\0") + bytes(12)
    checksum = sum(head) + 8 * ord(" ") + sum(tail)
    return head + b"%06o\0 " % checksum + tail


def require_canonical_name(name: str) -> None:
    """Raise ValueError unless ``name`` is relative, normalised and printable."""
    parts = name.split("/")
    if not name or any(part in {"", ".", ".."} for part in parts) or "\\" in name:
        raise ValueError(f"not a relative, normalised name: {name!r}")
    if any(ord(letter) < 0x20 or ord(letter) == 0x7F for letter in name):
        raise ValueError(f"control characters in a name: {name!r}")
    name.encode()  # a lone surrogate has no bytes; UnicodeEncodeError is a ValueError


def _split_name(name: str) -> tuple[bytes, bytes]:
    """``name`` as ustar's prefix and name fields; the split is the rightmost that fits."""
    require_canonical_name(name)
    raw = name.encode()
    if len(raw) <= 100:
        return b"", raw
    for cut in range(min(155, len(raw) - 1), 0, -1):
        if raw[cut : cut + 1] == b"/" and len(raw) - cut - 1 <= 100:
            return raw[:cut], raw[cut + 1 :]
    raise ValueError(f"too long for a tar header: {name!r}")


def read_members(stream: BinaryIO, where: str) -> tuple[Member, ...]:
    """All members of a seekable tar, seeking from header to header.

    Raises BundleError at the first byte of a header, of padding or of the end that is not canonical, and for a
    name that stands twice.
    """
    length = stream.seek(0, os.SEEK_END)
    members: list[Member] = []
    names: set[str] = set()
    position = 0
    while True:
        stream.seek(position)
        header = stream.read(BLOCK)
        if header == bytes(BLOCK):
            _require_end(stream, position, length, where)
            return tuple(members)
        member = _read_header(header, position, where)
        if member.offset + member.size > length:
            raise _refused(f"cut off inside member {member.name}", where, position)
        if member.name in names or len(members) == MAX_MEMBERS:
            raise _refused(f"member {member.name} stands twice, or there are too many", where, position)
        stream.seek(member.offset + member.size)
        if stream.read(padding(member.size)) != bytes(padding(member.size)):
            raise _refused(f"bytes other than zero after member {member.name}", where, member.offset + member.size)
        names.add(member.name)
        members.append(member)
        position = member.offset + member.size + padding(member.size)


def _read_header(header: bytes, position: int, where: str) -> Member:
    if len(header) < BLOCK:
        raise _refused("cut off before the end of the archive", where, position)
    try:
        name = "/".join(field.rstrip(b"\0").decode() for field in (header[345:500], header[:100]) if field[:1] != b"\0")
        size = _read_size(header[124:136])
        rendered = render_header(name, size)
    except ValueError as error:
        raise _refused(f"a header that bundler does not write ({error})", where, position) from error
    if rendered != header:
        raise _refused(f"the header of {name!r} is not as bundler writes it", where, position)
    return Member(name, position + BLOCK, size)


def _read_size(field: bytes) -> int:
    if field[:1] == b"\x80":
        return int.from_bytes(field[1:], "big")
    if not _OCTAL.fullmatch(field):  # int() takes a sign and blanks too
        raise ValueError("its size is not a number")
    return int(field[:-1], 8)


def _require_end(stream: BinaryIO, position: int, length: int, where: str) -> None:
    stream.seek(position)
    if length != position + len(END) or stream.read(len(END)) != END:
        raise _refused("the archive does not end with two zero blocks and nothing after them", where, position)


def _refused(what: str, where: str, position: int) -> BundleError:
    return BundleError(what, where=f"{where}, byte {position}", remedy=_REMEDY)
