"""What a layer of an engine holds at, above and below the models' paths, read from its plain tar in one pass."""

from __future__ import annotations

import posixpath
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import BinaryIO, Literal

from bundler.core.errors import BuildError

Parts = tuple[str, ...]
TouchKind = Literal["directory", "file", "symlink", "hard link", "device", "whiteout", "opaque marker"]

_WHITEOUT = ".wh."
_META = ".wh..wh."
OPAQUE = ".wh..wh..opq"
_ACCOUNT_FILES = ("etc/passwd", "etc/group")
_MAX_ACCOUNT_SIZE = 4 << 20


@dataclass(frozen=True)
class Touch:
    """An entry that concerns a model. ``path`` is what it stands for: a whiteout's is the path that it removes, an
    opaque marker's the directory whose lower content it hides. ``name`` is the entry's own, as it stands in the tar.
    """

    name: str
    path: Parts
    kind: TouchKind
    target: str
    mode: int
    uid: int
    gid: int


@dataclass(frozen=True)
class LayerScan:
    """The touches of one layer, the directories above models that it puts something else into, and its accounts."""

    touches: tuple[Touch, ...] = ()
    filled: frozenset[Parts] = frozenset()
    accounts: Mapping[str, str] | None = None


def parts_of(path: PurePosixPath | str) -> Parts:
    """A path in an image as its parts, whatever form it was written in; the root has none."""
    normal = posixpath.normpath("/" + str(path).lstrip("/"))
    return tuple(part for part in normal.split("/") if part)


def related(path: Parts, model: Parts) -> bool:
    """Whether one of the two lies at, above or below the other."""
    shorter = min(len(path), len(model))
    return path[:shorter] == model[:shorter]


def scan_layer(stream: BinaryIO, models: Sequence[PurePosixPath], where: str) -> LayerScan:
    """Read a plain layer to its end; raises BuildError where it is not a tar."""
    paths = [parts_of(path) for path in models]
    above = {path[:count] for path in paths for count in range(len(path) + 1)}
    touches: list[Touch] = []
    filled: set[Parts] = set()
    accounts: dict[str, str] = {}
    for member, content in _members(stream, where):
        touch = _touch(member)
        if touch is None:
            continue
        if any(related(touch.path, path) for path in paths):
            touches.append(touch)
        if touch.path not in above and touch.kind not in ("whiteout", "opaque marker"):
            filled.update(touch.path[:count] for count in range(len(touch.path)) if touch.path[:count] in above)
        if "/".join(touch.path) in _ACCOUNT_FILES:
            accounts["/".join(touch.path)] = content
    return LayerScan(tuple(touches), frozenset(filled), accounts)


def _members(stream: BinaryIO, where: str) -> Iterator[tuple[tarfile.TarInfo, str]]:
    """Every entry, with the text of the files that list accounts."""
    try:
        with tarfile.open(fileobj=stream, mode="r|") as archive:
            for member in archive:
                content = ""
                wanted = member.isreg() and member.size <= _MAX_ACCOUNT_SIZE
                if wanted and "/".join(parts_of(member.name)) in _ACCOUNT_FILES:
                    opened = archive.extractfile(member)
                    content = opened.read().decode(errors="replace") if opened else ""
                yield member, content
                archive.members.clear()  # type: ignore[attr-defined]  # it would keep every entry in memory
    except (tarfile.TarError, ValueError, EOFError) as error:
        raise BuildError(
            f"the engine exported something that is not a layer: {error}",
            where=where,
            remedy="run the same command again; the engine's store may be damaged",
        ) from error
    while stream.read(1 << 20):
        pass


def _touch(member: tarfile.TarInfo) -> Touch | None:
    """What the entry is; None for the bookkeeping of old storage drivers."""
    path = parts_of(member.name)
    kind = _kind(member)
    last = path[-1] if path else ""
    if last == OPAQUE:
        path, kind = path[:-1], "opaque marker"
    elif last.startswith(_META):
        return None
    elif last.startswith(_WHITEOUT):
        path, kind = (*path[:-1], last[len(_WHITEOUT) :]), "whiteout"
    return Touch(member.name, path, kind, member.linkname, member.mode, member.uid, member.gid)


def _kind(member: tarfile.TarInfo) -> TouchKind:
    if member.isdir():
        return "directory"
    if member.issym():
        return "symlink"
    if member.islnk():
        return "hard link"
    return "file" if member.isreg() else "device"
