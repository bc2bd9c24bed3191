"""A file of this host into the store: shared where the file system can, copied where it cannot, compared always."""

from __future__ import annotations

import errno
import fcntl
from pathlib import Path

from bundler.builder.hub.digests import Digests, digests_of
from bundler.builder.hub.source import LocalFile
from bundler.builder.lock import LockedFile
from bundler.core.digest import CHUNK_BYTES

_FICLONE = 0x40049409  # ioctl_ficlonerange(2)
_CANNOT = {errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL, errno.ENOTTY, errno.EPERM, errno.EMLINK, errno.EACCES}


def take_local(located: LocalFile, target: Path, file: LockedFile) -> Digests:
    """Make ``target`` hold what ``located`` holds, and give its digests; raises OSError for either place.

    A reflink is tried first. A hard link is made for files that are ``ours`` alone: to share a file with somebody who
    may write into it would hand every later change on to the store.
    """
    source = located.path.resolve()
    if located.ours and _moved(source, target):
        return digests_of(target, file)
    if _cloned(source, target):
        return digests_of(target, file)
    digests = Digests(file)
    with source.open("rb") as reading, target.open("wb") as writing:
        while chunk := reading.read(CHUNK_BYTES):
            digests.update(chunk)
            writing.write(chunk)
    return digests


def _moved(source: Path, target: Path) -> bool:
    try:
        source.replace(target)
    except OSError as error:
        if error.errno in _CANNOT:
            return False
        raise
    return True


def _cloned(source: Path, target: Path) -> bool:
    with source.open("rb") as reading, target.open("wb") as writing:
        try:
            fcntl.ioctl(writing.fileno(), _FICLONE, reading.fileno())
        except OSError as error:
            if error.errno in _CANNOT:
                return False
            raise
    return target.stat().st_size == source.stat().st_size
