"""A directory on this host: the model's files, a Hub cache, a git clone, or a place that holds several models.

`{ directory: PATH }` of a recipe, and ``--from DIR``. What it gives is compared with the lock like anything else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from bundler.builder.hub.source import LocalFile
from bundler.builder.hub.sources.shelves import Shelf, shelves_in, why_not
from bundler.builder.hub.store import GIT_WORK
from bundler.builder.lock import LockedFile, LockedModel
from bundler.builder.recipe_models import ModelSpec
from bundler.core.errors import DownloadError


class DirectorySource:
    """One directory, which is only read. ``cache`` is the root of our own, for what has to be unpacked."""

    def __init__(self, directory: Path, cache: Path) -> None:
        self.name = str(directory)
        self._directory = directory
        self._work = cache / GIT_WORK / hashlib.sha256(str(directory.absolute()).encode()).hexdigest()[:32]

    def resolve(self, wanted: ModelSpec) -> LockedModel:
        """What the Hub cache or git clone in it knows the revision as."""
        where = f"model {wanted.name}, {wanted.repo}@{wanted.revision} in {self.name}"
        for shelf in self._shelves({wanted.repo}, wanted.name, where):
            listing = shelf.listing(wanted)
            if listing is not None:
                return listing.locked(wanted, where)
        raise DownloadError(
            "the directory does not say which commit its files are of",
            where=where,
            remedy="lock the model once where the Hub can be asked (bundler lock); or give a Hub cache or a git clone",
        )

    def locate(self, model: LockedModel, file: LockedFile) -> LocalFile:
        """The file here that may be the locked one; raises DownloadError that says why none is."""
        where = f"{file.path} of model {model.name} in {self.name}"
        found: DownloadError | None = None
        for shelf in self._shelves({model.repo_id, model.canonical_id}, model.name, where):
            for candidate in shelf.candidates(model, file):
                error = why_not(candidate, file)
                if error is None:
                    return candidate
                # A file of that name that is not right says more than one that is not there.
                if found is None or candidate.path.exists():
                    found = error
        if found is None:
            remedy = "put it there, or take another source"
            raise DownloadError(f"{file.path} is not there", where=where, remedy=remedy)
        raise found

    def _shelves(self, repos: set[str], name: str, where: str) -> Iterator[Shelf]:
        if not self._directory.is_dir():
            remedy = "check the path: --from, or `directory` in the recipe, which is relative to the recipe's own"
            raise DownloadError("there is no such directory", where=where, remedy=remedy)
        return shelves_in(self._directory, repos, name, self._work)
