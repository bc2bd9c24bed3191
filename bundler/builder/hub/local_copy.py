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
_READABLE = 0o444
_CANNOT = {
    errno.EOPNOTSUPP,
    errno.EXDEV,
    errno.EINVAL,
    errno.ENOTTY,
    errno.EPERM,
    errno.EMLINK,
    errno.EACCES,
    errno.ENOSYS,
}


def take_local(located: LocalFile, target: Path, file: LockedFile) -> Digests:
    """Make ``target`` hold what ``located`` holds, and give its digests; raises OSError for either place.

    Space is taken once where the file system can: by a reflink, else by a hard link. A link shares what its owner may
    do to the file later; that is seen, since content is compared whenever it is used.
    """
    source = located.path.resolve()
    if (located.ours and _moved(source, target)) or _cloned(source, target) or _linked(source, target):
        return digests_of(target, file)
    digests = Digests(file)
    with source.open("rb") as reading, target.open("wb") as writing:
        while chunk := reading.read(CHUNK_BYTES):
            digests.update(chunk)
            writing.write(chunk)
    return digests


def _linked(source: Path, target: Path) -> bool:
    """Only what everybody may read: models are mounted into containers whose users are anybody."""
    if source.stat().st_mode & _READABLE != _READABLE:
        return False
    target.unlink(missing_ok=True)
    try:
        target.hardlink_to(source)
    except OSError as error:
        if error.errno in _CANNOT:
            return False
        raise
    return True


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
