"""The cache of model files: each once, by the digest of its content, shared by all recipes.

Below the cache's root: ``objects/<2 hex>/<sha256>`` are whole files that were compared; ``git/<2 hex>/<SHA-1>`` holds
the sha256 of a file that a source names by its git blob id; ``partial/`` has files that are not whole yet, ``models/``
what was fetched for whom (`bundler.builder.hub.catalogue`).

A name says what its content was. Whether it still is that is seen when it is read: ``fetch`` and ``cache verify`` hash
it, the pass that makes a layer compares it (``layer.ChangedFileError``); size and time alone are not trusted.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from bundler.builder.hub.digests import Digests, digests_of
from bundler.builder.hub.part import Part
from bundler.builder.lock import LockedFile
from bundler.core.atomic import sync_directory, write_atomic
from bundler.core.errors import PreconditionError
from bundler.core.locking import exclusive_lock
from bundler.core.progress import Progress

#: Below the cache's root: what git sources and clones are read through.
GIT_WORK = "git-work"
_OBJECT_MODE = 0o444


@dataclass(frozen=True)
class StoredFile:
    """A file of the store: its place, and the sha256 that it was kept under."""

    path: Path
    sha256: str


@dataclass(frozen=True)
class ModelStore:
    """The store below ``root``, the cache's directory."""

    root: Path

    @property
    def objects(self) -> Path:
        """Whole files by sha256."""
        return self.root / "objects"

    @property
    def partial(self) -> Path:
        """Files that are not whole yet."""
        return self.root / "partial"

    def path(self, sha256: str) -> Path:
        """Where the file of that sha256 stands, or would."""
        return self.objects / sha256[:2] / sha256

    def find(self, file: LockedFile) -> StoredFile | None:
        """The file if it is here with the locked size; its content is not read."""
        sha256 = file.sha256 or self._sha256_of_git(file.git_sha1)
        if sha256 is None:
            return None
        path = self.path(sha256)
        with suppress(OSError):
            if path.stat().st_size == file.size:
                return StoredFile(path, sha256)
        return None

    def require(self, file: LockedFile) -> StoredFile | None:
        """The file if it is here and is what it is called: it is read to its end, and removed where it is not."""
        found = self.find(file)
        if found is None:
            return None
        digests = digests_of(found.path, file)
        if digests.fit() and digests.sha256 == found.sha256:
            return found
        found.path.unlink(missing_ok=True)
        return None

    def part(self, file: LockedFile) -> Part:
        """The unfinished form of the file."""
        return Part(self.partial / key_of(file))

    @contextmanager
    def alone(self, file: LockedFile, label: str, progress: Progress, check: Callable[[], None]) -> Iterator[None]:
        """Hold the file's place while the block runs; another run that brings the same file is waited for.

        ``check`` is called meanwhile, and may raise.
        """
        lock = self.root / "locks" / "objects" / f"{key_of(file)}.lock"
        with exclusive_lock(lock, label, math.inf, lambda why: progress.note(f"{label}: {why}"), check):
            yield

    def keep(self, whole: Path, file: LockedFile, digests: Digests) -> StoredFile:
        """Give ``whole``, which was compared with the lock, its name in the store; it is moved there."""
        stored = StoredFile(self.path(digests.sha256), digests.sha256)
        stored.path.parent.mkdir(parents=True, exist_ok=True)
        with whole.open("rb") as stream:
            os.fsync(stream.fileno())
        if whole.stat().st_nlink == 1:  # the mode of a file that somebody else has too is theirs
            whole.chmod(_OBJECT_MODE)
        whole.replace(stored.path)
        sync_directory(stored.path.parent)
        if file.git_sha1 is not None:
            write_atomic(self._git_name(file.git_sha1), f"{stored.sha256}\n".encode())
        return stored

    def _sha256_of_git(self, git_sha1: str | None) -> str | None:
        if git_sha1 is None:
            return None
        with suppress(OSError, UnicodeDecodeError):
            content = self._git_name(git_sha1).read_text("ascii").strip()
            if len(content) == 64 and set(content) <= set("0123456789abcdef"):
                return content
        return None

    def _git_name(self, git_sha1: str) -> Path:
        return self.root / "git" / git_sha1[:2] / git_sha1


def key_of(file: LockedFile) -> str:
    """What the lock knows the file by, as a file name."""
    return f"sha256-{file.sha256}" if file.sha256 else f"git-{file.git_sha1}"


@contextmanager
def storing(root: Path) -> Iterator[None]:
    """A full or read-only disk is told as what it is."""
    try:
        yield
    except PermissionError as error:
        raise _unkept(
            root, error, "make it writable for this user, or choose another cache by XDG_CACHE_HOME"
        ) from error
    except OSError as error:
        if error.errno is None:
            raise
        raise _unkept(root, error, "free some space there, or choose another cache by XDG_CACHE_HOME") from error


def _unkept(root: Path, error: OSError, remedy: str) -> PreconditionError:
    what = f"a model cannot be kept: {error.strerror}"
    return PreconditionError(what, where=str(error.filename or root), remedy=remedy)
