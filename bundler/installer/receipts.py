"""Receipts on this host: one a bundle's name and engine is current, the ones before it are kept as former ones."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

from bundler.core.atomic import write_atomic
from bundler.core.digest import Digest
from bundler.core.errors import BundlerError, PreconditionError
from bundler.core.oci import canonical_json, parse_object
from bundler.installer.engine import Engine
from bundler.installer.host import Host, file_name
from bundler.installer.receipt import Receipt, parse_receipt


def record(host: Host, receipt: Receipt) -> Path:
    """Keep ``receipt`` as the current one of its bundle's name; gives its path."""
    directory = host.receipts_dir(receipt.engine.engine_id)
    path = directory / f"{file_name(receipt.manifest.name)}.json"
    former = _read(path) if path.exists() else None
    if former and former.bundle_digest != receipt.bundle_digest:
        write_atomic(directory / "former" / f"{file_name(former.manifest.title)}.json", path.read_bytes())
    write_atomic(path, canonical_json(receipt.to_json()) + b"\n")
    return path


def current(host: Host, engine_id: str) -> tuple[Receipt, ...]:
    """The current receipts of one engine, by name. Raises PreconditionError for one that cannot be read."""
    return tuple(_read(path) for path in sorted(host.receipts_dir(engine_id).glob("*.json")))


def former(host: Host, engine_id: str) -> tuple[Receipt, ...]:
    """The receipts that later installs took the place of."""
    return tuple(_read(path) for path in sorted((host.receipts_dir(engine_id) / "former").glob("*.json")))


def current_of(host: Host, engine_id: str, name: str) -> Optional[Receipt]:
    """The current receipt of the bundle called ``name``."""
    path = host.receipts_dir(engine_id) / f"{file_name(name)}.json"
    return _read(path) if path.exists() else None


def _read(path: Path) -> Receipt:
    try:
        return parse_receipt(parse_object(path.read_bytes(), str(path)), str(path))
    except (BundlerError, OSError, ValueError) as error:
        raise PreconditionError(
            f"a receipt cannot be read: {error.what if isinstance(error, BundlerError) else error}",
            where=str(path),
            remedy="restore the file from a backup, or move it away and install the bundle again",
        ) from error


def vouched_blobs(host: Host, engine: Engine, engine_id: str) -> frozenset[Digest]:
    """The blobs that our receipts say this engine holds: those of every installed image that it still answers to."""
    blobs: set[Digest] = set()
    for receipt in (*current(host, engine_id), *former(host, engine_id)):
        for image, entry in zip(receipt.images, receipt.manifest.images):
            if engine.find(image.engine_id) is not None:
                blobs.update(layer.blob.digest for layer in entry.layers)
    return frozenset(blobs)
