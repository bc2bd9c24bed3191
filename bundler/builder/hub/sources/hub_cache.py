"""A cache of the Hub's client: ``models--OWNER--NAME/{blobs,refs,snapshots,trees}``.

``snapshots/<commit>/`` holds links into ``blobs/``, whose names are what the Hub calls a file by: its sha256, or its git
blob id. ``trees/<commit>.json``, where the client has left one, lists the whole commit, so that it is known what is
missing here. (https://huggingface.co/docs/huggingface_hub/guides/manage-cache; ``huggingface_hub/_tree_cache.py``)
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bundler.builder.hub.digests import Digests, digests_of
from bundler.builder.hub.source import LocalFile
from bundler.builder.hub.sources.listing import ListedFile, Listing, license_of, selected
from bundler.builder.hub.sources.terms import CARD, card_metadata, license_texts, states_terms
from bundler.builder.lock import LockedFile, LockedModel
from bundler.builder.recipe_models import ModelSpec
from bundler.core.errors import DownloadError

_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_TREE_FORMAT = 1


@dataclass(frozen=True)
class HubCache:
    """The folder of one repo in such a cache."""

    path: Path

    @classmethod
    def at(cls, place: Path, repo: str) -> Iterator[HubCache]:
        """The folder of ``repo`` below ``place``, or ``place`` itself, or a snapshot of it."""
        name = f"models--{repo.replace('/', '--')}"
        above = [place, *place.absolute().parents[:2]]
        for path in (place / name, *(each for each in above if each.name == name)):
            if (path / "snapshots").is_dir():
                yield cls(path)

    def listing(self, wanted: ModelSpec) -> Listing | None:
        """The commit that the cache knows the revision as; every file that is taken and here is read and compared."""
        commit = self._commit(wanted.revision)
        folder = self.path / "snapshots" / (commit or "")
        if commit is None or not folder.is_dir():
            return None
        here = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
        listed = self._whole_tree(commit) or {path: _told(path, each) for path, each in here.items()}
        taken = set(selected(list(listed), wanted))
        files = {
            path: _compared(file, here[path]) if path in here and (path in taken or states_terms(file)) else file
            for path, file in listed.items()
        }
        texts = license_texts(
            (files[path] for path in sorted(files) if path in here), lambda f: here[f.path].read_bytes()
        )
        card = card_metadata(here[CARD].read_bytes()) if CARD in here else {}
        library = card.get("library_name")
        library_name = str(library) if library else None
        return Listing(wanted.repo, commit, tuple(files.values()), license_of(card, texts), library_name)

    def candidates(self, model: LockedModel, file: LockedFile) -> Iterator[LocalFile]:
        """The blob of that digest, of whatever commit, and the file of that name in the locked one."""
        for digest in (file.sha256, file.git_sha1):
            if digest and (self.path / "blobs" / digest).is_file():
                yield LocalFile(self.path / "blobs" / digest)
        if model.commit:
            yield LocalFile(self.path / "snapshots" / model.commit / file.path)

    def _commit(self, revision: str) -> str | None:
        if _COMMIT.fullmatch(revision):
            return revision
        ref = self.path / "refs" / revision
        if ".." in revision.split("/") or not ref.is_file():
            return None
        commit = ref.read_text("ascii", errors="replace").strip()
        return commit if _COMMIT.fullmatch(commit) else None

    def _whole_tree(self, commit: str) -> dict[str, ListedFile]:
        """Empty where the client has left no listing, or one that cannot be used."""
        try:
            tree = json.loads((self.path / "trees" / f"{commit}.json").read_bytes())
            if tree["format_version"] != _TREE_FORMAT:
                return {}
            return {str(path): _of_tree(str(path), about) for path, about in tree["files"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return {}


def _of_tree(path: str, about: dict[str, Any]) -> ListedFile:
    sha256 = about.get("lfs_sha256")
    return ListedFile(path, int(about["size"]), sha256, None if sha256 else str(about["blob_id"]))


def _told(path: str, here: Path) -> ListedFile:
    """By the name of its blob; a file that is no link into ``blobs/`` has no digest yet."""
    target, size = here.resolve(), here.stat().st_size
    name = target.name if target.parent.name == "blobs" and here.is_symlink() else ""
    git = name if _COMMIT.fullmatch(name) else None
    return ListedFile(path, size, name if _SHA256.fullmatch(name) else None, git)


def _compared(file: ListedFile, here: Path) -> ListedFile:
    """Its content is what it is called; raises DownloadError if not. Without a digest, it gets its sha256."""
    if file.sha256 is None and file.git_sha1 is None:
        return ListedFile(file.path, file.size, _digests(here, file, "0" * 40).sha256, None)
    digests = _digests(here, file, file.git_sha1)
    if not digests.fit():
        remedy = "remove that file and fetch it again, or take another source"
        raise DownloadError(f"{file.path} is not what its digest says", where=str(here), remedy=remedy)
    return file


def _digests(here: Path, file: ListedFile, git_sha1: str | None) -> Digests:
    known = LockedFile(path="file", size=file.size, sha256=file.sha256, git_sha1=git_sha1)
    try:
        return digests_of(here, known)
    except OSError as error:
        remedy = "make it readable for this user"
        raise DownloadError(f"{file.path} cannot be read: {error.strerror}", where=str(here), remedy=remedy) from error
