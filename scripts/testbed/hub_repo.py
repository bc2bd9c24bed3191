"""Model repositories as the Hub holds them: git ids of what lies in a directory, and Git LFS for the large files.

Ids are the ones git computes (a test compares them with git's own), so that a client which checks `blob_id`
or a pointer finds what it would find on the real Hub. Nothing is copied: the bytes stay where they are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Union

#: What the Hub puts into Git LFS in a repository without a `.gitattributes` of its own.
LFS_PATTERNS = ("*.bin", "*.gguf", "*.h5", "*.msgpack", "*.onnx", "*.ot", "*.pt", "*.pth", "*.safetensors", "*.tflite")
#: The Hub takes no larger file outside LFS (bytes).
LFS_ABOVE = 10 * 1024 * 1024
_CHUNK = 1024 * 1024


@dataclass(frozen=True)
class HubFile:
    """One file of a snapshot. ``size`` is bytes; LFS files have a ``sha256``, and their pointer's ``blob_id``."""

    path: str
    source: Path
    size: int
    blob_id: str
    sha256: str | None = None
    pointer_size: int = 0

    @property
    def etag(self) -> str:
        """The entity tag without its quotes, as the Hub chooses it."""
        return self.sha256 or self.blob_id


@dataclass(frozen=True)
class Snapshot:
    """The content of one commit: files by path, and the git tree id of each folder (the root's is ``""``)."""

    commit: str
    files: Mapping[str, HubFile]
    folders: Mapping[str, str]

    @classmethod
    def of(cls, directory: Path) -> Snapshot:
        """Read ``directory``; the same content makes the same commit wherever it lies."""
        patterns = _lfs_patterns(directory)
        paths = (path for path in sorted(directory.rglob("*")) if path.is_file())
        files = {file.path: file for file in (_hub_file(directory, path, patterns) for path in paths)}
        folders = _tree_ids(files.values())
        return cls(commit=_commit_id(folders[""]), files=files, folders=folders)

    @property
    def card(self) -> dict[str, str]:
        """The plain lines of the model card's front matter: its licence, its library, …"""
        card = self.files.get("README.md")
        return _front_matter(card.source.read_text("utf-8")) if card else {}


@dataclass(frozen=True)
class HubRepo:
    """A model repository: ``directory`` is branch ``main``, ``branches`` are further branches and tags.

    A ``gated`` (True is "manual") or ``private`` one opens to the tokens in ``readers`` alone. ``former_names`` are answered
    with a redirect, as after a rename.
    """

    repo_id: str
    directory: Path
    branches: Mapping[str, Path] = field(default_factory=dict)
    gated: Union[bool, str] = False
    private: bool = False
    readers: frozenset[str] = frozenset()
    former_names: tuple[str, ...] = ()

    @cached_property
    def snapshots(self) -> dict[str, Snapshot]:
        """Snapshots by branch name. Read once: a directory that changes later is pushed with ``Hub.push``."""
        return {name: Snapshot.of(path) for name, path in {**self.branches, "main": self.directory}.items()}


def git_id(kind: str, content: bytes) -> str:
    """The id that git gives to an object of ``kind`` (blob, tree, commit)."""
    return hashlib.sha1(f"{kind} {len(content)}\0".encode() + content, usedforsecurity=False).hexdigest()


def lfs_pointer(sha256: str, size: int) -> bytes:
    """What git holds in the place of a file that is in LFS."""
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n".encode()


def _hub_file(directory: Path, path: Path, patterns: Iterable[str]) -> HubFile:
    name, size = path.relative_to(directory).as_posix(), path.stat().st_size
    if size <= LFS_ABOVE and not any(fnmatchcase(name, p) or fnmatchcase(path.name, p) for p in patterns):
        return HubFile(name, path, size, git_id("blob", path.read_bytes()))
    sha256 = hashlib.sha256()
    with path.open("rb") as stream:
        for chunk in iter(lambda: stream.read(_CHUNK), b""):
            sha256.update(chunk)
    pointer = lfs_pointer(sha256.hexdigest(), size)
    return HubFile(name, path, size, git_id("blob", pointer), sha256.hexdigest(), len(pointer))


def _lfs_patterns(directory: Path) -> tuple[str, ...]:
    attributes = directory / ".gitattributes"
    if not attributes.is_file():
        return LFS_PATTERNS
    lines = (line.split() for line in attributes.read_text("utf-8").splitlines())
    return tuple(words[0] for words in lines if "filter=lfs" in words[1:])


def _tree_ids(files: Iterable[HubFile]) -> dict[str, str]:
    """Git's tree id of every folder, the deepest first since a tree names its subtrees by id."""
    children: dict[str, list[tuple[bytes, str, str]]] = {"": []}
    for file in files:
        children.setdefault(_parent(file.path), []).append(
            (file.path.rpartition("/")[2].encode(), "100644", file.blob_id)
        )
        for folder in _parents(file.path):
            children.setdefault(folder, [])
    ids: dict[str, str] = {}
    for folder in sorted(children, key=lambda name: (name.count("/") + bool(name), name), reverse=True):
        ids[folder] = _tree_id(children[folder])
        if folder:
            children[_parent(folder)].append((folder.rpartition("/")[2].encode(), "40000", ids[folder]))
    return ids


def _tree_id(entries: Iterable[tuple[bytes, str, str]]) -> str:
    """Git sorts a folder as if its name ended in a slash."""
    ordered = sorted(entries, key=lambda entry: entry[0] + (b"/" if entry[1] == "40000" else b""))
    return git_id(
        "tree", b"".join(mode.encode() + b" " + name + b"\0" + bytes.fromhex(oid) for name, mode, oid in ordered)
    )


def _commit_id(tree: str) -> str:
    who = "testbed <testbed@localhost> 0 +0000"
    return git_id("commit", f"tree {tree}\nauthor {who}\ncommitter {who}\n\ncontent\n".encode())


def _parent(path: str) -> str:
    return path.rpartition("/")[0]


def _parents(path: str) -> Iterator[str]:
    return (str(parent) for parent in PurePosixPath(path).parents if str(parent) != ".")


def _front_matter(text: str) -> dict[str, str]:
    """The plain ``key: value`` lines between the first two ``---`` lines of a model card."""
    lines = text.splitlines()
    if not lines or lines[0].strip() != "---":
        return {}
    found: dict[str, str] = {}
    for line in lines[1:]:
        if line.strip() == "---":
            break
        key, colon, value = line.partition(":")
        if colon and value.strip() and not line[:1].isspace():
            found[key.strip()] = value.strip().strip("'\"")
    return found
