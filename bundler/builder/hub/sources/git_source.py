"""A git repository with Git LFS, of the Hub or any other server: `{ git: URL }` of a recipe.

The repository is fetched into a work folder of the cache: one commit without its history, and the small files alone,
since those in LFS are pointers. LFS files come from the server's LFS API, by the same downloaders as everything else.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
import threading
from pathlib import Path

from bundler.builder.hub.source import LocalFile, Located
from bundler.builder.hub.sources.credentials import Credentials
from bundler.builder.hub.sources.git import Git
from bundler.builder.hub.sources.git_tree import Entry, listing_of, tree_of
from bundler.builder.hub.sources.lfs import LfsServer, lfs_object
from bundler.builder.hub.sources.web import TIMEOUT_S
from bundler.builder.hub.store import GIT_WORK
from bundler.builder.lock import LockedFile, LockedModel
from bundler.builder.recipe_models import ModelSpec
from bundler.core.errors import DownloadError
from bundler.core.locking import exclusive_lock

_COMMIT = re.compile(r"[0-9a-f]{40}")
_NOT_SO = re.compile(r"not our ref|unadvertised object|shallow|does not allow request|remote ref|dumb http")
_LOCK_TIMEOUT_S = 3600.0


class GitSource:
    """One repository. ``name`` is its address; no password is in it (`recipe_types.GitUrl`)."""

    def __init__(
        self,
        url: str,
        cache: Path,
        credentials: Credentials,
        ca_bundle: Path | None = None,
        timeout_s: float = TIMEOUT_S,
        halt: threading.Event | None = None,
    ) -> None:
        self.name = url
        key = hashlib.sha256(url.encode()).hexdigest()[:32]
        self._folder = cache / GIT_WORK / key
        self._git = Git(f"git repository {url}", url, self._folder / "repo.git", ca_bundle, timeout_s, halt)
        self._lfs = LfsServer(self._git, credentials)
        self._trees: dict[str, dict[str, Entry]] = {}
        self._lock = threading.Lock()

    def resolve(self, wanted: ModelSpec) -> LockedModel:
        """Which commit the branch, tag or commit is, and what that holds."""
        commit = self._commit(wanted.revision)
        tree = self._tree(commit)
        where = f"model {wanted.name}, {wanted.revision} of {self.name}"
        return listing_of(self._git, commit, tree, wanted.repo).locked(wanted, where)

    def locate(self, model: LockedModel, file: LockedFile) -> Located:
        """A copy out of the repository, or the LFS server's address of today."""
        commit = model.commit or self._commit(model.revision)
        entry = self._tree(commit).get(file.path)
        where = f"{file.path} of model {model.name} at {self.name}, commit {commit}"
        if entry is None or entry.listed.size != file.size:
            what = "there is no such file in that commit" if entry is None else "the file has another size there"
            raise DownloadError(what, where=where, remedy="take the repository that the lock was made from")
        if entry.pointer is None:
            return LocalFile(blob_copy(self._git, entry.oid, self._folder), ours=True)
        if self.name.startswith("file://"):
            return _local_lfs(Path(self.name.removeprefix("file://")), entry.pointer.sha256, where)
        return self._lfs.locate(entry.pointer, commit, where)

    def _commit(self, revision: str) -> str:
        """Refs are read out of git-ls-remote(1); an annotated tag stands for what it points to."""
        if _COMMIT.fullmatch(revision):
            return revision
        lines = self._git("ls-remote", "--", self.name).decode("utf-8", errors="replace").splitlines()
        refs = {name: oid for oid, _, name in (line.partition("\t") for line in lines)}
        names = (f"refs/heads/{revision}", f"refs/tags/{revision}^{{}}", f"refs/tags/{revision}", f"refs/{revision}")
        found = next((refs[name] for name in (*names, revision) if name in refs), None)
        if found is not None and _COMMIT.fullmatch(found):
            return found
        heads = sorted(name.removeprefix("refs/heads/") for name in refs if name.startswith("refs/heads/"))
        known = f"it has {', '.join(heads[:5])}" if heads else "it has no branch at all"
        raise DownloadError(
            f"the repository has no revision {revision!r}; {known}",
            where=self.name,
            remedy="name one of its branches or tags, or a commit of 40 digits",
        )

    def _tree(self, commit: str) -> dict[str, Entry]:
        with self._lock, exclusive_lock(self._folder / "lock", self.name, _LOCK_TIMEOUT_S):
            if commit not in self._trees:
                self._fetch(commit)
                self._trees[commit] = tree_of(self._git, commit)
            return self._trees[commit]

    def _fetch(self, commit: str) -> None:
        """Make the commit be here: alone where the server gives single commits, else with all branches and tags."""
        if not (self._folder / "repo.git" / "HEAD").is_file():
            self._git("init", "--quiet", "--bare", "--template=")
        if self._git.succeeds("cat-file", "-e", f"{commit}^{{tree}}"):
            return
        quiet = ("fetch", "--quiet", "--no-tags", "--force")
        try:
            self._git(*quiet, "--depth=1", "--", self.name, commit)
        except DownloadError as error:
            if not _NOT_SO.search(error.what):
                raise
            everything = ("+refs/heads/*:refs/all/heads/*", "+refs/tags/*:refs/all/tags/*")
            self._git(*quiet, "--", self.name, *everything)
        if not self._git.succeeds("cat-file", "-e", f"{commit}^{{tree}}"):
            remedy = "name a branch, a tag or a commit of 40 digits that it has"
            raise DownloadError(f"the repository has no commit {commit}", where=self.name, remedy=remedy)


def blob_copy(git: Git, oid: str, folder: Path) -> Path:
    """A file of our own with what the blob ``oid`` holds; raises DownloadError where git does not have it."""
    folder.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=f"blob-{oid[:12]}-", dir=folder)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            git("cat-file", "blob", oid, into=stream)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return Path(name)


def _local_lfs(repository: Path, sha256: str, where: str) -> LocalFile:
    path = lfs_object(repository, sha256) or lfs_object(repository / ".git", sha256)
    if path is None:
        remedy = f"run git lfs fetch --all in {repository}"
        raise DownloadError("that repository does not hold the content of its LFS file", where=where, remedy=remedy)
    return LocalFile(path)
