"""A model as it stands in an image: its files with sizes and digests, below a path, with the recipe's owner.

``layout: plain`` puts a snapshot's files at the path; ``layout: hub-cache`` makes a cache of the Hub's client there,
as ``from_pretrained("org/name")`` resolves it without a network: real files in ``snapshots/<commit>``, an empty
``blobs``, and ``refs`` that hold the commit (``huggingface_hub``, "Understand caching").
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from bundler.builder.layer import DIRECTORY_MODE, FILE_MODE, Entry, directory_entry, with_parents
from bundler.core.bundle_manifest import ModelFile
from bundler.core.digest import Digest


@dataclass(frozen=True)
class TreeFile:
    """A file of a model: ``path`` below the model's (``/`` between parts), ``size`` in bytes, and where it is read."""

    path: str
    size: int
    sha256: Digest
    source: Path | bytes


@dataclass(frozen=True)
class ModelTree:
    """All that a model's layer holds: files and, where they would be missing, empty ``directories`` below ``path``."""

    name: str
    path: PurePosixPath
    uid: int
    gid: int
    files: tuple[TreeFile, ...]
    directories: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Bytes of the files together."""
        return sum(file.size for file in self.files)

    @property
    def model_files(self) -> tuple[ModelFile, ...]:
        """The files as ``bundle.json`` lists them, sorted."""
        return tuple(ModelFile(file.path, file.size, file.sha256) for file in sorted(self.files, key=lambda f: f.path))


def hub_cache_tree(tree: ModelTree, repo_id: str, commit: str, revisions: Iterable[str]) -> ModelTree:
    """``tree`` (a plain one at the cache's path) laid out as the cache of the Hub's client.

    ``revisions`` are the names asked for; ``main`` always resolves. The result's path is the model's own folder in the
    cache, so that several models can stand in one.
    """
    folder = "models--" + repo_id.replace("/", "--")
    content = commit.encode()
    names = sorted({"main", *revisions} - {commit})
    refs = [TreeFile(f"refs/{name}", len(content), Digest.of(content), content) for name in names]
    files = [TreeFile(f"snapshots/{commit}/{file.path}", file.size, file.sha256, file.source) for file in tree.files]
    return ModelTree(tree.name, tree.path / folder, tree.uid, tree.gid, (*refs, *files), ("blobs",))


def model_entries(tree: ModelTree) -> tuple[Entry, ...]:
    """The entries of the model's layer: readable by all whatever the cache's modes were, the parents root's.

    Raises BuildError for a name that cannot stand in a layer, such as ``.wh.x``.
    """
    root = str(tree.path).lstrip("/")
    files = [
        Entry(f"{root}/{file.path}", "file", FILE_MODE, tree.uid, tree.gid, file.size, file.source, file.sha256)
        for file in tree.files
    ]
    below = {str(parent) for file in tree.files for parent in PurePosixPath(file.path).parents} | set(tree.directories)
    folders = {str(PurePosixPath(root) / name) for name in below | {"."}}
    directories = [directory_entry(name, DIRECTORY_MODE, tree.uid, tree.gid) for name in folders]
    return with_parents([*directories, *files])
