"""Programs of a few hundred bytes that are written here, instruction by instruction: the file around their code.

So no compiler and no binary from elsewhere stands between a page of source and what runs.

Source: ELF-64 Object File Format 1.5 (header and program header).
"""

from __future__ import annotations

import struct

#: The architectures that there are programs for, in OCI's words.
ARCHITECTURES = ("amd64", "arm64")
_MACHINES = {"amd64": 62, "arm64": 183}
_BASE, _HEADERS_SIZE, _PAGE = 0x400000, 120, 0x10000


def executable(architecture: str, code: bytes) -> bytes:
    """A static program for one of ``ARCHITECTURES``: one segment, which is read and run, and begins with ``code``."""
    size = _HEADERS_SIZE + len(code)
    identity = b"\x7fELF\x02\x01\x01" + bytes(9)
    entry = _BASE + _HEADERS_SIZE
    header = struct.pack("<HHIQQQIHHHHHH", 2, _MACHINES[architecture], 1, entry, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, _BASE, _BASE, size, size, _PAGE)
    return identity + header + segment + code
