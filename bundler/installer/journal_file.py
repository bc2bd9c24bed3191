"""What stands in a journal, as values, and how it is kept: whole or not at all, and flushed before anything is done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

from bundler.core.atomic import sync_directory, write_atomic
from bundler.core.digest import Digest
from bundler.core.errors import BundleError, PreconditionError
from bundler.core.json_fields import Fields
from bundler.core.oci import canonical_json, parse_object
from bundler.core.reference import Reference

JOURNAL_VERSION = 1


@dataclass
class BroughtImage:
    """A nameless image that a run brings; ``blobs`` are those of its layers once it stands, empty before."""

    kit: str
    blobs: tuple[Digest, ...] = ()


@dataclass(frozen=True)
class MovedName:
    """A name: the image that it stood for (None: no such name), and the one that it is to stand for."""

    former: Optional[Digest]
    new: Digest


@dataclass(frozen=True)
class BegunFile:
    """A payload file: where, its digest, and where the file that stood there before is kept (None: there was none).

    ``temporary`` is its name until it is whole.
    """

    path: Path
    sha256: Digest
    backup: Optional[Path]
    temporary: Path


@dataclass
class Entries:
    """All that a journal holds. ``directories`` are those that were made, outermost first."""

    run_id: str
    images: dict[Digest, BroughtImage] = field(default_factory=dict)
    names: dict[Reference, MovedName] = field(default_factory=dict)
    files: list[BegunFile] = field(default_factory=list)
    directories: list[Path] = field(default_factory=list)

    @property
    def empty(self) -> bool:
        """Whether nothing is begun."""
        return not (self.images or self.names or self.files or self.directories)


def write_entries(path: Path, entries: Entries) -> None:
    """Keep ``entries``; an empty journal is no file."""
    if entries.empty:
        if path.exists():
            path.unlink()
            sync_directory(path.parent)
        return
    write_atomic(path, canonical_json(_to_json(entries)) + b"\n", 0o600)


def read_entries(path: Path) -> Optional[Entries]:
    """What is begun and not finished, None where nothing is. Raises PreconditionError where it cannot be read."""
    if not path.exists():
        return None
    try:
        return _parse(Fields(parse_object(path.read_bytes(), str(path)), str(path)))
    except (BundleError, OSError, ValueError) as error:
        raise PreconditionError(
            f"the journal of an earlier run cannot be read: {error.what if isinstance(error, BundleError) else error}",
            where=str(path),
            remedy="look which image names it holds and set them as they should be, then move the file away",
        ) from error


def _to_json(entries: Entries) -> dict[str, Any]:
    return {
        "journal_version": JOURNAL_VERSION,
        "run_id": entries.run_id,
        "images": [
            {"id": str(image_id), "kit": image.kit, "blobs": [str(blob) for blob in image.blobs]}
            for image_id, image in entries.images.items()
        ],
        "names": [
            {"name": str(name), "former": str(moved.former) if moved.former else None, "new": str(moved.new)}
            for name, moved in entries.names.items()
        ],
        "files": [_file_json(file) for file in entries.files],
        "directories": [str(path) for path in entries.directories],
    }


def _file_json(file: BegunFile) -> Mapping[str, Any]:
    backup = str(file.backup) if file.backup else None
    return {
        "path": str(file.path),
        "sha256": file.sha256.hex,
        "backup": backup,
        "temporary": str(file.temporary),
    }


def _parse(fields: Fields) -> Entries:
    if fields.integer("journal_version") != JOURNAL_VERSION:
        raise fields.refused("journal_version", "was written by a newer bundler")
    entries = Entries(fields.text("run_id"))
    for item in fields.objects("images"):
        blobs = tuple(Digest.parse(text) for text in item.texts("blobs"))
        entries.images[item.digest("id")] = BroughtImage(item.text("kit"), blobs)
    for item in fields.objects("names"):
        former = item.digest("former") if item.optional_text("former") else None
        entries.names[item.reference("name")] = MovedName(former, item.digest("new"))
    entries.files = [_parse_file(item) for item in fields.objects("files")]
    entries.directories = [Path(text) for text in fields.texts("directories")]
    return entries


def _parse_file(item: Fields) -> BegunFile:
    backup = item.optional_text("backup")
    return BegunFile(
        path=Path(item.text("path")),
        sha256=item.bare_digest("sha256"),
        backup=Path(backup) if backup else None,
        temporary=Path(item.text("temporary")),
    )
