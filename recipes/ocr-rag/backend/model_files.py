"""Whether a model's directory holds what ``recipe.lock`` says: every file, its size and digest, and nothing else.

At a start, weights above 64 MiB are compared by their sizes alone. A byte that was changed in them is found by the check
``loads`` (``python -m backend.selfcheck``) and by ``bundler audit``, which read all of them.

The lock travels in the application's image. "Exists and is not empty" is no check: a folder with configuration alone
passes it, and a download that died half-way leaves one.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backend.errors import ModelError, ServiceError

#: Up to this size (bytes) a file is read and compared with its digest at every start. Larger ones are compared by size, and
#: by digest where ``thorough`` is asked for, as the self-check does: 7 GB are not read within the 10 s of a start.
DIGESTED_AT_START = 64 * 1024 * 1024
_CHUNK = 1024 * 1024


@dataclass(frozen=True)
class LockedFile:
    """A file of a model: its size in bytes, and the digest that its source told, in hexadecimal digits."""

    path: str
    size: int
    sha256: str | None
    git_sha1: str | None


@dataclass(frozen=True)
class LockedModel:
    """A model as the lock has it; ``commit`` is None where its source has none."""

    name: str
    repo: str
    commit: str | None
    files: tuple[LockedFile, ...]

    @property
    def told(self) -> str:
        """``repo@commit``."""
        return f"{self.repo}@{self.commit}" if self.commit else self.repo


@dataclass(frozen=True)
class ModelsLock:
    """All models of the recipe."""

    path: Path
    models: tuple[LockedModel, ...]

    @classmethod
    def read(cls, path: Path) -> ModelsLock:
        """Read ``recipe.lock``. Raises ServiceError where it is missing or no lock."""
        try:
            found = json.loads(path.read_text("utf-8"))
            return cls(path, tuple(_model(each) for each in found["models"]))
        except OSError as error:
            raise ServiceError(f"the lock of the models at {path}: {error.strerror}; `./dev.sh rebuild app`") from error
        except (ValueError, KeyError, TypeError) as error:
            raise ServiceError(
                f"the lock of the models at {path} is none: {error!r}; `./dev.sh rebuild app`"
            ) from error

    def named(self, name: str) -> LockedModel:
        """The model that the recipe calls ``name``. Raises ServiceError where it has none."""
        return self._only(name, [model for model in self.models if model.name == name])

    def of_repo(self, repo: str) -> LockedModel:
        """The model from the repository ``repo``. Raises ServiceError where the recipe has none."""
        return self._only(repo, [model for model in self.models if model.repo == repo])

    def _only(self, what: str, found: list[LockedModel]) -> LockedModel:
        if len(found) != 1:
            raise ServiceError(f"the lock of the models at {self.path} has {len(found)} of {what}, and one is needed")
        return found[0]


def require_whole(directory: Path, model: LockedModel, *, thorough: bool = False) -> None:
    """Compare the directory with the lock, the content of large files only where ``thorough``.

    Raises ModelError that names the directory and what is wrong with it.
    """
    if not directory.is_dir():
        raise ModelError(directory, "not a directory" if directory.exists() else "no such directory")
    standing = {path.relative_to(directory).as_posix() for path in directory.rglob("*") if not path.is_dir()}
    if not standing:
        raise ModelError(directory, "the directory is empty")
    locked = {file.path for file in model.files}
    missing, strange = sorted(locked - standing), sorted(standing - locked)
    if missing:
        raise ModelError(directory, f"{len(missing)} of {len(locked)} files are missing: {', '.join(missing)}")
    if strange:
        raise ModelError(directory, f"files that the lock does not know: {', '.join(strange)}")
    problems = [problem for file in model.files for problem in _problems(directory / file.path, file, thorough)]
    if problems:
        raise ModelError(directory, "; ".join(problems))


def read_ahead(directory: Path) -> None:
    """Ask the kernel to bring the directory's files into memory, while something else is done."""
    for path in directory.rglob("*"):
        if path.is_file():
            with path.open("rb") as stream:
                os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_WILLNEED)


def _problems(path: Path, locked: LockedFile, thorough: bool) -> Iterator[str]:
    try:
        size = path.stat().st_size
        if size != locked.size:
            yield f"{locked.path} has {size:,} bytes and not the {locked.size:,} of the lock"
        elif (thorough or size <= DIGESTED_AT_START) and not _is(path, locked):
            yield f"{locked.path} was altered: its digest is not that of the lock"
    except OSError as error:
        yield f"{locked.path}: {error.strerror}"


def _is(path: Path, locked: LockedFile) -> bool:
    """Whether the content has the locked digest: sha256, or git's own of the file as a blob."""
    digest = (
        hashlib.sha256() if locked.sha256 else hashlib.sha1(f"blob {locked.size}\0".encode(), usedforsecurity=False)
    )
    with path.open("rb") as stream:
        for chunk in iter(lambda: stream.read(_CHUNK), b""):
            digest.update(chunk)
    return digest.hexdigest() == (locked.sha256 or locked.git_sha1)


def _model(found: dict[str, Any]) -> LockedModel:
    files = [LockedFile(file["path"], file["size"], file["sha256"], file["git_sha1"]) for file in found["files"]]
    return LockedModel(found["name"], found["repo_id"], found["commit"], tuple(files))
