"""Taking files out of the page cache, and seeing whether they are out: nothing else on the host is touched.

Pages that were not written to the disk yet have to go there first, and pages that a process has mapped stay; so what
became of them is looked at. On overlayfs these calls reach the file below, whose pages every container of an image shares.

Sources: posix_fadvise(2), POSIX_FADV_DONTNEED; syncfs(2); mincore(2), which tells of one's own files, and root of all.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import time
from collections.abc import Iterator
from typing import Callable

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


def evict(opened: Callable[[], Iterator[int]]) -> tuple[int, int]:
    """Take files out of the page cache; gives the bytes of all and the bytes that stay there. Raises OSError.

    ``opened`` gives descriptors of the files, each for as long as the next one is not asked for.
    """
    size, left = _dropped(opened)
    if left:
        _sync(opened)
    since = time.monotonic()
    while left and time.monotonic() - since < _PATIENCE_S:
        _, now = _dropped(opened)
        if now < left:
            left, since = now, time.monotonic()
        if left:
            time.sleep(_PAUSE_S)
    return size, left


def _dropped(opened: Callable[[], Iterator[int]]) -> tuple[int, int]:
    """Once over all files: their bytes, and those that stay."""
    size = left = 0
    for descriptor in opened():
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        size += os.fstat(descriptor).st_size
        left += cached_size(descriptor)
    return size, left


def _sync(opened: Callable[[], Iterator[int]]) -> None:
    """Write what the files' file system has not written yet; on overlayfs that is the one below, where fsync is not."""
    for descriptor in opened():
        if _LIBC.syncfs(descriptor):
            raise _error("syncfs")
        return


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
