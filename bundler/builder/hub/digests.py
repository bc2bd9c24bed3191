"""Both digests that a source may name a file by, computed side by side."""

from __future__ import annotations

import hashlib
from pathlib import Path

from bundler.builder.lock import LockedFile
from bundler.core.digest import CHUNK_BYTES


class Digests:
    """A sha256 and a git blob id; git's is over ``blob SIZE`` and the content (git ``hash-object``).

    The git id costs a second hash, so it is computed only for files that a source names by it.
    """

    def __init__(self, file: LockedFile) -> None:
        self._file = file
        self._sha256 = hashlib.sha256()
        git = hashlib.sha1(b"blob %d\0" % file.size, usedforsecurity=False)
        self._git_sha1 = git if file.git_sha1 is not None else None
        self.size = 0

    def update(self, chunk: bytes | bytearray | memoryview) -> None:
        """Take the next bytes of the file."""
        self._sha256.update(chunk)
        if self._git_sha1 is not None:
            self._git_sha1.update(chunk)
        self.size += len(chunk)

    @property
    def sha256(self) -> str:
        """Hexadecimal digits."""
        return self._sha256.hexdigest()

    def fit(self) -> bool:
        """Whether these are the locked file's size and digests."""
        if self.size != self._file.size or self._file.sha256 not in (None, self.sha256):
            return False
        return self._git_sha1 is None or self._git_sha1.hexdigest() == self._file.git_sha1


def digests_of(path: Path, file: LockedFile) -> Digests:
    """Read ``path`` to its end."""
    digests = Digests(file)
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK_BYTES):
            digests.update(chunk)
    return digests
