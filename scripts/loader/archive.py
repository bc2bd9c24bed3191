"""A zip archive whose bytes follow from its members alone (PKWARE APPNOTE 6.3, sections 4.3 to 4.5).

Members of wheels are copied compressed as they stand, so that no release of zlib has a say in the result; what is
added besides is stored. No times, no owners: only names, in order, and content.
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

_LOCAL = struct.Struct("<4s5H3I2H")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_END = struct.Struct("<4s4H2IH")
_LOCAL_NAME_AND_EXTRA = struct.Struct("<2H")
_VERSION = 20  # deflate and directories
_MADE_BY_UNIX = 3 << 8 | _VERSION
_UTF8 = 1 << 11
_DATE_1980_01_01 = 1 << 5 | 1
_MODE_0644 = 0o100644 << 16


@dataclass(frozen=True)
class Member:
    """One file: ``data`` as it stands in the archive, compressed by ``method`` (0 stored, 8 deflated)."""

    data: bytes
    method: int
    crc: int
    size: int

    @classmethod
    def stored(cls, content: bytes) -> Member:
        """A member that is not compressed."""
        return cls(content, zipfile.ZIP_STORED, zlib.crc32(content), len(content))


def wheel_members(wheel: Path) -> Iterator[tuple[str, Member]]:
    """The files of a wheel, still compressed."""
    with zipfile.ZipFile(wheel) as archive, wheel.open("rb") as raw:
        for info in archive.infolist():
            if not info.is_dir():
                yield info.filename, Member(_raw(raw, info), info.compress_type, info.CRC, info.file_size)


def _raw(file: BinaryIO, info: zipfile.ZipInfo) -> bytes:
    file.seek(info.header_offset + _LOCAL.size - _LOCAL_NAME_AND_EXTRA.size)
    file.seek(sum(_LOCAL_NAME_AND_EXTRA.unpack(file.read(_LOCAL_NAME_AND_EXTRA.size))), 1)
    return file.read(info.compress_size)


def write_archive(file: BinaryIO, members: Mapping[str, Member], *, prefix: bytes) -> None:
    """Write ``prefix`` (a shebang line) and the archive, sorted by name."""
    file.write(prefix)
    directory = b""
    for name, member in sorted(members.items()):
        offset = file.tell()
        encoded = name.encode()
        # method, time, date, crc, compressed size, size, length of the name, length of extra fields
        facts = (member.method, 0, _DATE_1980_01_01, member.crc, len(member.data), member.size, len(encoded), 0)
        file.write(_LOCAL.pack(b"PK\3\4", _VERSION, _UTF8, *facts) + encoded)
        file.write(member.data)
        central = _CENTRAL.pack(b"PK\1\2", _MADE_BY_UNIX, _VERSION, _UTF8, *facts, 0, 0, 0, _MODE_0644, offset)
        directory += central + encoded
    start = file.tell()
    file.write(directory)
    file.write(_END.pack(b"PK\5\6", 0, 0, len(members), len(members), len(directory), start, 0))
