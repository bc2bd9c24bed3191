"""A model's files on this host: fetched once, kept by commit, each compared with its locked digest.

They stand below the cache as ``snapshots/<owner>--<name>/<commit>/<path>``. A file has its name there only when it is
whole and was compared; what a broken attempt left has another. Weights are not read again for their digest when they
are used: the pass that makes the layer compares it, and removes a damaged file (``layer.ChangedFileError``).
"""

from __future__ import annotations

import glob
import hashlib
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from bundler.builder.hub.retry import Clock, ExhaustedError, RetryPolicy, SystemClock, TransientError, retried
from bundler.builder.hub.source import Source
from bundler.builder.hub.transfer import WORTHWHILE_SIZE, transfer
from bundler.builder.lock import LockedFile, LockedModel
from bundler.core.atomic import sync_directory
from bundler.core.digest import CHUNK_BYTES
from bundler.core.errors import DownloadError, PreconditionError
from bundler.core.locking import HeldLockError, exclusive_lock
from bundler.core.progress import Progress, Task

#: For another build that fetches the same model, which may be large and its line slow.
_LONGEST_WAIT_S = 24 * 3600.0
#: What an attempt writes to, beside the file's own name.
_PART = re.compile(r"\.(?P<name>.+)\.[0-9]+\.part")


@dataclass(frozen=True)
class Snapshot:
    """A model on this host: ``model`` with a sha256 for every file, all of them below ``directory``."""

    model: LockedModel
    directory: Path

    def path(self, file: LockedFile) -> Path:
        """Where ``file`` stands."""
        return self.directory / file.path


@dataclass(frozen=True)
class Fetcher:
    """Brings models from a source into the cache, as the policy says."""

    source: Source
    cache: Path
    policy: RetryPolicy
    progress: Progress
    clock: Clock = SystemClock()  # noqa: RUF009 - it has no state
    fast: bool = True

    def directory(self, model: LockedModel) -> Path:
        """Where the model's snapshot stands."""
        return self.cache / "snapshots" / model.canonical_id.replace("/", "--") / model.commit

    def missing_size(self, model: LockedModel) -> int:
        """Bytes that are still to be fetched."""
        here = self.directory(model)
        return sum(file.size for file in model.files if not _is_here(here / file.path, file))

    def fetch(self, model: LockedModel) -> Snapshot:
        """Make every file of ``model`` stand on this host.

        Raises DownloadError that names the model, the file and the number of tries. Finished files are kept.
        """
        directory = self.directory(model)
        with self._alone(model), _kept(directory):
            _sweep(directory, model)
            files = tuple(self._bring(model, file, directory / file.path) for file in model.files)
        return Snapshot(model.model_copy(update={"files": files}), directory)

    @contextmanager
    def _alone(self, model: LockedModel) -> Iterator[None]:
        """Two builds share a cache: the second one waits, and finds the files that the first one fetched."""
        directory = self.directory(model)
        lock = self.cache / "locks" / f"{directory.parent.name}--{directory.name}.lock"
        try:
            with exclusive_lock(lock, f"the model {model.name}"):
                yield
                return
        except HeldLockError as error:
            self.progress.note(f"{model.name}: waiting, since {error.what}")
        with exclusive_lock(lock, f"the model {model.name}", _LONGEST_WAIT_S):
            yield

    def _bring(self, model: LockedModel, file: LockedFile, path: Path) -> LockedFile:
        if not _is_here(path, file):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._download(model, file, path)
        if file.sha256:
            return file
        return file.model_copy(update={"sha256": self._digest_of_small(model, file, path)})

    def _digest_of_small(self, model: LockedModel, file: LockedFile, path: Path) -> str:
        """The sha256 of a file that the source names by its git id only, which is compared again: it is small."""
        digests = _digests(path, file)
        if digests.git_sha1 != file.git_sha1:
            path.unlink()
            self._download(model, file, path)
            digests = _digests(path, file)
        return digests.sha256

    def _download(self, model: LockedModel, file: LockedFile, path: Path) -> None:
        part = path.with_name(f".{path.name}.{os.getpid()}.part")
        label = f"{model.name}/{file.path}"

        def told(attempt: int, error: TransientError, pause_s: float) -> None:
            self.progress.note(f"{label}: attempt {attempt} failed ({error}); the next one in {pause_s:.0f} s")

        attempts = _Attempts(self, model, file, part, label)
        try:
            retried(attempts, self.policy, self.clock, told)
            part.replace(path)
            sync_directory(path.parent)
        except ExhaustedError as error:
            raise DownloadError(
                f"model {model.name}: {file.path} did not arrive in {error.attempts} attempts ({error})",
                where=f"{model.repo_id}@{model.commit} at {self.source.name}",
                remedy="run the same command again: finished files are kept; or give another --endpoint",
            ) from error
        finally:
            part.unlink(missing_ok=True)


class _Attempts:
    """One attempt a call: from the first byte, by hf_transfer first where that is worthwhile."""

    def __init__(self, fetcher: Fetcher, model: LockedModel, file: LockedFile, part: Path, label: str) -> None:
        self._fetcher = fetcher
        self._model = model
        self._file = file
        self._part = part
        self._label = label
        self._fast = fetcher.fast and file.size >= WORTHWHILE_SIZE

    def __call__(self) -> None:
        fast, self._fast = self._fast, False
        self._part.unlink(missing_ok=True)
        with self._fetcher.progress.task(self._label, self._file.size) as task:
            digests = self._by_hf_transfer(task) if fast else self._by_http(task)
        expected = (self._file.sha256, self._file.git_sha1)
        if self._part.stat().st_size != self._file.size or digests.differ(*expected):
            raise TransientError("what arrived has another digest or size than the locked file")

    def _by_hf_transfer(self, task: Task) -> _Digests:
        address = self._fetcher.source.address(self._model, self._file)
        transfer(address, self._part, self._fetcher.policy.stall_s, task)
        return _digests(self._part, self._file)

    def _by_http(self, task: Task) -> _Digests:
        with self._part.open("wb") as raw:
            sink = _HashingFile(raw, self._file, task.advance)
            self._fetcher.source.read(self._model, self._file, cast("BinaryIO", sink))
            raw.flush()
            os.fsync(raw.fileno())
        return sink.digests or _digests(self._part, self._file)


class _Digests:
    """Both digests that a source may name a file by; git's is over a header and the content (git ``hash-object``)."""

    def __init__(self, size: int) -> None:
        self._sha256 = hashlib.sha256()
        self._git_sha1 = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)

    def update(self, chunk: bytes) -> None:
        self._sha256.update(chunk)
        self._git_sha1.update(chunk)

    @property
    def sha256(self) -> str:
        return self._sha256.hexdigest()

    @property
    def git_sha1(self) -> str:
        return self._git_sha1.hexdigest()

    def differ(self, sha256: str | None, git_sha1: str | None) -> bool:
        return (sha256 is not None and sha256 != self.sha256) or (git_sha1 is not None and git_sha1 != self.git_sha1)


class _HashingFile:
    """A file that hashes what is written to it; where a writer goes back, the file is to be read again."""

    def __init__(self, raw: BinaryIO, file: LockedFile, on_write: Callable[[int], None]) -> None:
        self._raw = raw
        self._on_write = on_write
        self.digests: _Digests | None = _Digests(file.size)

    def write(self, chunk: bytes) -> int:
        if self.digests:
            self.digests.update(chunk)
        self._on_write(len(chunk))
        return self._raw.write(chunk)

    def tell(self) -> int:
        return self._raw.tell()

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self.digests = None
        return self._raw.seek(offset, whence)

    def truncate(self) -> int:
        return self._raw.truncate()


def _sweep(directory: Path, model: LockedModel) -> None:
    """Remove what killed runs left of files that they had begun; nobody else is here, as the lock says."""
    for parent, name in {(path.parent, path.name) for path in (directory / file.path for file in model.files)}:
        for path in parent.glob(f".{glob.escape(name)}.*.part"):
            found = _PART.fullmatch(path.name)
            if found and found["name"] == name:
                path.unlink()


@contextmanager
def _kept(directory: Path) -> Iterator[None]:
    """A full or read-only disk is told as what it is."""
    try:
        yield
    except OSError as error:
        raise PreconditionError(
            f"a model cannot be kept: {error.strerror}",
            where=str(directory),
            remedy="free some space there, or choose another cache by XDG_CACHE_HOME",
        ) from error


def _digests(path: Path, file: LockedFile) -> _Digests:
    digests = _Digests(file.size)
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK_BYTES):
            digests.update(chunk)
    return digests


def _is_here(path: Path, file: LockedFile) -> bool:
    return path.is_file() and path.stat().st_size == file.size
