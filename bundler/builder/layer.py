"""Layers that bundler makes itself: a deterministic stream of tar out of entries, with nothing of this host in it.

Entries are sorted by name, times are 0, owners are numbers without names, every parent directory has an entry of its
own (an engine unpacks each layer by itself and would make a missing parent anew, root's and 0755, over the one below).
The bytes are written here and not by ``tarfile``, whose choices differ between releases of Python: the same entries
give the same diff_id on every host.

Source: POSIX.1-2001 ``pax`` ("ustar Interchange Format", "pax Extended Header"); OCI image-spec ``layer.md``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bundler.core.digest import CHUNK_BYTES, Digest
from bundler.core.errors import BuildError
from bundler.core.tarball import BLOCK, END, padding, require_canonical_name

Kind = Literal["file", "directory", "symlink"]
DIRECTORY_MODE = 0o755
FILE_MODE = 0o644
WHITEOUT = ".wh."
_TYPES: dict[Kind, bytes] = {"file": b"0", "symlink": b"2", "directory": b"5"}
_NAME_BYTES = 100
_OCTAL_8_LIMIT = 8**7
_OCTAL_12_LIMIT = 8**11
_PAX_NAME = b"././@PaxHeader"


@dataclass(frozen=True)
class Entry:
    """One entry of a layer; ``name`` is its path in the image without the leading ``/``.

    A file has ``size`` bytes and comes from ``source`` (a path on disk, or the bytes themselves); where ``sha256`` is
    given, the content is compared with it. A symlink has a ``target``.
    """

    name: str
    kind: Kind = "file"
    mode: int = FILE_MODE
    uid: int = 0
    gid: int = 0
    size: int = 0
    source: Path | bytes = b""
    sha256: Digest | None = None
    target: str = ""


def directory_entry(name: str, mode: int = DIRECTORY_MODE, uid: int = 0, gid: int = 0) -> Entry:
    """A directory."""
    return Entry(name, "directory", mode, uid, gid)


def with_parents(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    """The entries sorted by name, with directories (root, 0755) for all parents that have no entry.

    Raises BuildError for a name that cannot stand in a layer, that stands twice, or that lies below a file or link.
    """
    named: dict[str, Entry] = {}
    for entry in entries:
        _require_name(entry.name)
        if entry.name in named:
            raise _refused(entry.name, "stands twice in one layer")
        named[entry.name] = entry
    for name in list(named):
        parts = name.split("/")
        for count in range(1, len(parts)):
            parent = "/".join(parts[:count])
            if named.setdefault(parent, directory_entry(parent)).kind != "directory":
                raise _refused(name, f"lies below {parent!r}, which is not a directory")
    return tuple(named[name] for name in sorted(named))


Observer = Callable[[int], None]


def layer_chunks(entries: Sequence[Entry], observer: Observer | None = None) -> Iterator[bytes]:
    """The tar of ``entries``, in the order given, each file read once; ``observer`` hears of the bytes of files.

    Raises BuildError that names the file where its size or digest is not as stated, or where it cannot be read.
    """
    for entry in entries:
        yield _headers(entry)
        if entry.kind == "file":
            for chunk in _checked_content(entry):
                yield chunk
                if observer:
                    observer(len(chunk))
            if padding(entry.size):
                yield bytes(padding(entry.size))
    yield END


def _checked_content(entry: Entry) -> Iterator[bytes]:
    hasher, size = hashlib.sha256(), 0
    for chunk in _content(entry):
        size += len(chunk)
        if size > entry.size:
            break
        hasher.update(chunk)
        yield chunk
    if size != entry.size:
        raise _changed(entry, f"is not of {entry.size} bytes")
    if entry.sha256 is not None and Digest(hasher.hexdigest()) != entry.sha256:
        raise _changed(entry, f"has another digest than {entry.sha256}")


def _content(entry: Entry) -> Iterator[bytes]:
    if isinstance(entry.source, bytes):
        yield from (entry.source[at : at + CHUNK_BYTES] for at in range(0, len(entry.source), CHUNK_BYTES))
        return
    try:
        with entry.source.open("rb", buffering=0) as stream:
            while chunk := stream.read(CHUNK_BYTES):
                yield chunk
    except OSError as error:
        raise _changed(entry, f"cannot be read: {error.strerror}") from error


class ChangedFileError(BuildError):
    """A file is not what it was when it was fetched; ``entry`` says which, so that its keeper can discard it."""

    def __init__(self, what: str, *, entry: Entry, where: str) -> None:
        super().__init__(what, where=where, remedy="run the same command again: the file is fetched once more")
        self.entry = entry

    def discard(self) -> None:
        """Remove the file, so that the next run fetches it."""
        if isinstance(self.entry.source, Path):
            self.entry.source.unlink(missing_ok=True)


def _changed(entry: Entry, what: str) -> ChangedFileError:
    where = str(entry.source) if isinstance(entry.source, Path) else "made by bundler"
    return ChangedFileError(f"{entry.name} {what}", entry=entry, where=where)


def _require_name(name: str) -> None:
    try:
        require_canonical_name(name)
        name.encode()
    except ValueError as error:
        raise _refused(name, f"cannot stand in a layer: {error}") from error
    for part in name.split("/"):
        if part.startswith(WHITEOUT):
            raise _refused(name, "would be a whiteout: engines read the name as an order to remove a file")
        if len(part.encode()) > 255:
            raise _refused(name, "has a part of more than 255 bytes, which no file system takes")


def _refused(name: str, what: str) -> BuildError:
    return BuildError(f"{name!r} {what}", where="a layer made by bundler", remedy="rename the file, or exclude it")


def _headers(entry: Entry) -> bytes:
    """The ustar header, and before it a pax header for what does not fit into one."""
    name = entry.name.encode() + (b"/" if entry.kind == "directory" else b"")
    target = entry.target.encode()
    size = entry.size if entry.kind == "file" else 0
    records: list[tuple[str, bytes]] = [
        *_text_record("path", name),
        *_text_record("linkpath", target),
        *_number_record("uid", entry.uid, _OCTAL_8_LIMIT),
        *_number_record("gid", entry.gid, _OCTAL_8_LIMIT),
        *_number_record("size", size, _OCTAL_12_LIMIT),
    ]
    header = _ustar(_short(name), _TYPES[entry.kind], entry.mode, entry.uid, entry.gid, size, _short(target))
    return _pax(records) + header


def _text_record(key: str, value: bytes) -> list[tuple[str, bytes]]:
    return [] if len(value) <= _NAME_BYTES and value.isascii() else [(key, value)]


def _number_record(key: str, value: int, limit: int) -> list[tuple[str, bytes]]:
    return [] if value < limit else [(key, b"%d" % value)]


def _short(value: bytes) -> bytes:
    """What stands in the ustar field beside a pax record: for people, since every reader takes the record."""
    return value if value.isascii() and len(value) <= _NAME_BYTES else value.decode().encode("ascii", "replace")[:100]


def _pax(records: Sequence[tuple[str, bytes]]) -> bytes:
    if not records:
        return b""
    content = b"".join(_pax_record(key, value) for key, value in sorted(records))
    return _ustar(_PAX_NAME, b"x", FILE_MODE, 0, 0, len(content), b"") + content + bytes(padding(len(content)))


def _pax_record(key: str, value: bytes) -> bytes:
    """``LENGTH KEY=VALUE\\n``, whose length counts its own digits."""
    rest = b" " + key.encode() + b"=" + value + b"\n"
    length = len(rest)
    while len(str(length)) + len(rest) != length:
        length = len(str(length)) + len(rest)
    return b"%d" % length + rest


def _ustar(name: bytes, kind: bytes, mode: int, uid: int, gid: int, size: int, target: bytes) -> bytes:
    head = (
        name.ljust(100, b"\0")
        + b"%07o\0" % mode
        + _octal(uid, 8)
        + _octal(gid, 8)
        + _octal(size, 12)
        + b"00000000000\0"  # mtime
    )
    tail = kind + target.ljust(100, b"\0") + b"ustar\x0000" + bytes(64) + b"0000000\0" * 2 + bytes(167)
    checksum = sum(head) + 8 * ord(" ") + sum(tail)
    header = head + b"%06o\0 " % checksum + tail
    return header.ljust(BLOCK, b"\0")


def _octal(value: int, width: int) -> bytes:
    """The field, 0 where a pax record says the value."""
    return b"%0*o\0" % (width - 1, value if value < 8 ** (width - 1) else 0)
