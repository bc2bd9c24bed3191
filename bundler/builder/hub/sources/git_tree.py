"""What a git commit holds: its files, which of them are Git LFS pointers, and what it says of itself.

Pointers: https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from bundler.builder.hub.sources.git import Git
from bundler.builder.hub.sources.listing import ListedFile, Listing, license_of
from bundler.builder.hub.sources.terms import CARD, card_metadata, license_texts
from bundler.core.errors import DownloadError

#: A pointer is smaller (spec.md: "must be less than 1024 bytes").
POINTER_LIMIT = 1024
_POINTER = re.compile(
    rb"version https://(?:git-lfs|hawser)\.github\.com/spec/v1\n(?:ext-.*\n)*oid sha256:([0-9a-f]{64})\nsize (\d+)\n?"
)
_SUBMODULE = "160000"


@dataclass(frozen=True)
class Pointer:
    """What stands in the place of a file in LFS: its sha256 and its size in bytes."""

    sha256: str
    size: int


@dataclass(frozen=True)
class Entry:
    """A file of a tree: git's id and the size of what git holds, and the pointer if that is one."""

    path: str
    oid: str
    size: int
    pointer: Pointer | None

    @property
    def listed(self) -> ListedFile:
        """As every source tells it."""
        if self.pointer:
            return ListedFile(self.path, self.pointer.size, self.pointer.sha256, None)
        return ListedFile(self.path, self.size, None, self.oid)


def pointer_of(content: bytes) -> Pointer | None:
    """The pointer that ``content`` is, or None."""
    match = _POINTER.fullmatch(content) if len(content) < POINTER_LIMIT else None
    return Pointer(match[1].decode(), int(match[2])) if match else None


def pointer_in(path: Path) -> Pointer | None:
    """The pointer that stands at ``path``, or None; raises OSError."""
    with path.open("rb") as stream:
        return pointer_of(stream.read(POINTER_LIMIT))


def tree_of(git: Git, commit: str) -> dict[str, Entry]:
    """The files of ``commit`` by path; raises DownloadError for what no model can hold."""
    found = list(_entries(git("ls-tree", "-r", "-l", "-z", "--full-tree", commit, "--"), git.where))
    pointers = _pointers(git, [oid for _, oid, size in found if size < POINTER_LIMIT])
    return {path: Entry(path, oid, size, pointers.get(oid)) for path, oid, size in found}


def listing_of(git: Git, commit: str, tree: Mapping[str, Entry], canonical_id: str) -> Listing:
    """What a recipe may take of a commit; licence and library are those of its model card."""
    stored = {path: entry for path, entry in tree.items() if entry.pointer is None}
    texts = license_texts((e.listed for e in stored.values()), lambda file: git("cat-file", "blob", str(file.git_sha1)))
    card = card_metadata(git("cat-file", "blob", stored[CARD].oid)) if CARD in stored else {}
    library = card.get("library_name")
    files = tuple(entry.listed for entry in tree.values())
    return Listing(canonical_id, commit, files, license_of(card, texts), str(library) if library else None)


def _entries(output: bytes, where: str) -> Iterator[tuple[str, str, int]]:
    """Path, id and size out of git-ls-tree(1), ``-z -l``; submodules are left out.

    A symbolic link is a file that holds its target's name, as it is on the Hub."""
    for line in output.split(b"\0")[:-1]:
        about, _, name = line.partition(b"\t")
        mode, _, oid, size = about.decode("ascii").split()
        try:
            path = name.decode("utf-8")
        except UnicodeDecodeError as error:
            remedy = "rename it in the repository"
            raise DownloadError(f"the name {name!r} is not UTF-8", where=where, remedy=remedy) from error
        if len(oid) != 40:
            remedy = "take another source; the Hub and Git LFS name files by SHA-1"
            raise DownloadError("the repository names its objects by SHA-256", where=where, remedy=remedy)
        if mode != _SUBMODULE:
            yield path, oid, int(size)


def _pointers(git: Git, oids: list[str]) -> dict[str, Pointer]:
    """Those of the small blobs that are pointers, out of git-cat-file(1), ``--batch``."""
    output = git("cat-file", "--batch", given="".join(f"{oid}\n" for oid in oids).encode())
    found, at = {}, 0
    for oid in oids:
        end = output.index(b"\n", at)
        size = int(output[at:end].rsplit(b" ", 1)[1])
        if pointer := pointer_of(output[end + 1 : end + 1 + size]):
            found[oid] = pointer
        at = end + 1 + size + 1
    return found
