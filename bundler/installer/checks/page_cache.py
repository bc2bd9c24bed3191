"""Taking files out of the page cache, and seeing whether they are out: nothing else on the host is touched.

Pages that were not written to the disk yet go there first, and pages that a process has mapped stay; so what became of
them is looked at. On overlayfs both calls reach the file below, whose pages every container of an image shares.

Sources: posix_fadvise(2), POSIX_FADV_DONTNEED; mincore(2), which tells about files of one's own and to root about all.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import time

#: Longest time in which nothing goes, in seconds, before what is left is taken for what stays.
_PATIENCE_S = 5.0
_PAUSE_S = 0.1
_WINDOW_SIZE = 1 << 30
_MAP_FAILED = ctypes.c_void_p(-1).value
_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.mmap.restype = ctypes.c_void_p
_LIBC.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *([ctypes.c_int] * 3), ctypes.c_long]
_LIBC.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
_LIBC.mincore.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p]


def evict(descriptor: int) -> int:
    """Take a file out of the page cache; gives the bytes that stay there. Raises OSError."""
    os.fsync(descriptor)
    left = _dropped(descriptor)
    since = time.monotonic()
    while left and time.monotonic() - since < _PATIENCE_S:
        time.sleep(_PAUSE_S)
        now = _dropped(descriptor)
        if now < left:
            left, since = now, time.monotonic()
    return left


def _dropped(descriptor: int) -> int:
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    return cached_size(descriptor)


def cached_size(descriptor: int) -> int:
    """How many bytes of an open file are in the page cache, in whole pages. Raises OSError."""
    size = os.fstat(descriptor).st_size
    starts = range(0, size, _WINDOW_SIZE)
    return sum(_cached_window(descriptor, start, min(_WINDOW_SIZE, size - start)) for start in starts)


def _cached_window(descriptor: int, start: int, size: int) -> int:
    """Of one piece: mapped, which reads nothing, and asked about."""
    address = _LIBC.mmap(None, size, mmap.PROT_READ, mmap.MAP_SHARED, descriptor, start)
    if address in {None, _MAP_FAILED}:
        raise _error("mmap")
    pages = ctypes.create_string_buffer(-(-size // mmap.PAGESIZE))
    try:
        if _LIBC.mincore(address, size, pages):
            raise _error("mincore")
    finally:
        _LIBC.munmap(address, size)
    return sum(page & 1 for page in pages.raw) * mmap.PAGESIZE


def _error(call: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, f"{call}: {os.strerror(number)}")
