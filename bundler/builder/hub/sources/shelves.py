"""Where in a directory of this host a model may lie, and what each kind of place knows of it.

Kinds: a Hub cache (https://huggingface.co/docs/huggingface_hub/guides/manage-cache), a git clone with its LFS files, a
plain directory of files, and another cache of bundler's. Nothing is ever written there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bundler.builder.hub.digests import digests_of
from bundler.builder.hub.source import LocalFile
from bundler.builder.hub.sources.git import Git
from bundler.builder.hub.sources.git_source import blob_copy
from bundler.builder.hub.sources.git_tree import listing_of, pointer_in, tree_of
from bundler.builder.hub.sources.hub_cache import HubCache
from bundler.builder.hub.sources.lfs import lfs_object
from bundler.builder.hub.sources.listing import Listing
from bundler.builder.hub.store import ModelStore
from bundler.builder.lock import LockedFile, LockedModel
from bundler.builder.recipe_models import ModelSpec
from bundler.core.errors import DownloadError

#: Files up to this size are compared at once, so that another model's file of the same size is not taken for it.
_COMPARED_SIZE = 1 << 20


class Shelf(Protocol):
    """One place that may hold a model."""

    def listing(self, wanted: ModelSpec) -> Listing | None:
        """What the wanted revision holds, or None where the place does not know revisions or not this one."""

    def candidates(self, model: LockedModel, file: LockedFile) -> Iterator[LocalFile]:
        """Files that may be the locked one."""


@dataclass(frozen=True)
class PlainFiles:
    """A directory of the model's files."""

    path: Path

    def listing(self, _wanted: ModelSpec) -> Listing | None:
        """Files alone do not say which commit they are of."""
        return None

    def candidates(self, _model: LockedModel, file: LockedFile) -> Iterator[LocalFile]:
        """The file of that name."""
        yield LocalFile(self.path / file.path)


@dataclass(frozen=True)
class Clone:
    """A git clone; ``git_directory`` is its ``.git``, or itself where it is bare. ``work`` is a folder of ours."""

    path: Path
    git_directory: Path
    work: Path

    @property
    def _git(self) -> Git:
        return Git(f"git clone {self.path}", directory=self.git_directory)

    def listing(self, wanted: ModelSpec) -> Listing | None:
        """The commit of a branch or tag is what this clone knows of it."""
        revision = wanted.revision
        for ref in (f"refs/heads/{revision}", f"refs/remotes/origin/{revision}", f"refs/tags/{revision}", revision):
            name = ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}")
            if self._git.succeeds(*name):
                commit = self._git(*name).decode("ascii").strip()
                return listing_of(self._git, commit, tree_of(self._git, commit), wanted.repo)
        return None

    def candidates(self, _model: LockedModel, file: LockedFile) -> Iterator[LocalFile]:
        """What is checked out, what git-lfs keeps, and what git itself holds: another commit may be checked out."""
        if self.path != self.git_directory:
            yield LocalFile(self.path / file.path)
        if file.sha256 and (kept := lfs_object(self.git_directory, file.sha256)):
            yield LocalFile(kept)
        if file.git_sha1 and self._git.succeeds("cat-file", "-e", file.git_sha1):
            yield LocalFile(blob_copy(self._git, file.git_sha1, self.work), ours=True)


@dataclass(frozen=True)
class StoredFiles:
    """Another cache of bundler's, such as one that was carried here."""

    store: ModelStore

    def listing(self, _wanted: ModelSpec) -> Listing | None:
        """It knows files by their content alone."""
        return None

    def candidates(self, _model: LockedModel, file: LockedFile) -> Iterator[LocalFile]:
        """The file of that digest."""
        if found := self.store.find(file):
            yield LocalFile(found.path)


def shelves_in(directory: Path, repos: set[str], name: str, work: Path) -> Iterator[Shelf]:
    """The places below ``directory`` that may hold the model ``name`` that the Hub calls one of ``repos``."""
    if (directory / "objects").is_dir() and not (directory / "HEAD").is_file():
        yield StoredFiles(ModelStore(directory))
    for cache in (directory, directory / "hub"):
        for repo in sorted(repos):
            yield from HubCache.at(cache, repo)
    for folder in _folders(directory, repos, name):
        if (folder / ".git").exists():
            yield Clone(folder, folder / ".git", work)
        elif (folder / "HEAD").is_file() and (folder / "objects").is_dir():
            yield Clone(folder, folder, work)
        else:
            yield PlainFiles(folder)


def why_not(candidate: LocalFile, file: LockedFile) -> DownloadError | None:
    """Why a candidate is not the locked file, or None where it may be; the whole digest is compared on the way in."""
    path = candidate.path
    try:
        size = path.stat().st_size
        if size != file.size:
            return _of_another_size(path, size, file)
        if size <= _COMPARED_SIZE and not digests_of(path, file).fit():
            return DownloadError(
                f"{file.path} has another digest than the lock", where=str(path), remedy="bring it from elsewhere"
            )
        with path.open("rb"):
            return None
    except (FileNotFoundError, NotADirectoryError):
        return DownloadError(
            f"{file.path} is not there", where=str(path), remedy="put it there, or take another source"
        )
    except OSError as error:
        remedy = "make it readable for this user"
        return DownloadError(f"{file.path} cannot be read: {error.strerror}", where=str(path), remedy=remedy)


def _of_another_size(path: Path, size: int, file: LockedFile) -> DownloadError:
    if pointer_in(path):
        remedy = f"run git lfs pull in {path.parent}"
        return DownloadError(f"{file.path} is a git-LFS pointer, not the file itself", where=str(path), remedy=remedy)
    what = f"{file.path} has {size:,} bytes, the locked file {file.size:,}"
    return DownloadError(what, where=str(path), remedy="bring it again, or take another source")


def _folders(directory: Path, repos: set[str], name: str) -> Iterator[Path]:
    yield directory
    names = {name, *repos, *(repo.replace("/", "--") for repo in repos), *(repo.rpartition("/")[2] for repo in repos)}
    yield from (directory / each for each in sorted(names) if (directory / each).is_dir())
