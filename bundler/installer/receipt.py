"""A receipt: what one install brought into which engine, as a value and as JSON.

It holds the bytes of ``bundle.json``, so everything that can be asked of the bundle later stands in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from bundler.core.bundle_manifest import BundleManifest, parse_bundle_manifest
from bundler.core.check_result import CheckResult, parse_check_result
from bundler.core.digest import Digest
from bundler.core.errors import BundleError
from bundler.core.json_fields import Fields
from bundler.core.reference import Reference
from bundler.installer.engine import EngineFacts

RECEIPT_VERSION = 1


@dataclass(frozen=True)
class InstalledImage:
    """An image as it was named: ``engine_id`` is the id that the engine answers to, ``image_id`` the config's digest."""

    reference: Reference
    engine_id: Digest
    image_id: Digest
    manifest_digest: Digest
    diff_ids: tuple[Digest, ...]


@dataclass(frozen=True)
class PlacedFile:
    """A payload file where it was put."""

    path: Path
    size: int
    sha256: Digest


@dataclass(frozen=True)
class Receipt:
    """One finished install. ``manifest_bytes`` are those of ``bundle.json``; ``unread`` names members not read."""

    run_id: str
    installed_at: str
    installed_by: str
    kit: Path
    tar_sum: Optional[Digest]
    manifest_bytes: bytes
    manifest: BundleManifest
    engine: EngineFacts
    images: tuple[InstalledImage, ...]
    files: tuple[PlacedFile, ...]
    into: Optional[Path]
    checks: tuple[CheckResult, ...]
    unread: tuple[str, ...]

    @property
    def bundle_digest(self) -> Digest:
        """Digest of ``bundle.json``: what tells one bundle from another."""
        return Digest.of(self.manifest_bytes)

    @property
    def blobs(self) -> frozenset[Digest]:
        """The blobs of all images."""
        return frozenset(layer.blob.digest for image in self.manifest.images for layer in image.layers)

    def to_json(self) -> dict[str, Any]:
        """The form that is kept; models with their files stand in it for people, ``bundle_json`` for programs."""
        return {
            "receipt_version": RECEIPT_VERSION,
            "run_id": self.run_id,
            "installed_at": self.installed_at,
            "installed_by": self.installed_by,
            "bundle": self.manifest.title,
            "bundle_digest": str(self.bundle_digest),
            "kit": str(self.kit),
            "tar_sum": str(self.tar_sum) if self.tar_sum else None,
            "signed": False,
            "engine": _engine_json(self.engine),
            "images": [_image_json(image) for image in self.images],
            "models": _models_json(self.manifest),
            "files": [{"path": str(file.path), "size": file.size, "sha256": file.sha256.hex} for file in self.files],
            "into": str(self.into) if self.into else None,
            "checks": [check.to_json() for check in self.checks],
            "members_not_read": list(self.unread),
            "bundle_json": self.manifest_bytes.decode(),
        }


def _engine_json(facts: EngineFacts) -> dict[str, Any]:
    return {
        "name": facts.name,
        "version": facts.version,
        "api_version": facts.api_version,
        "platform": facts.platform,
        "store": facts.store,
        "engine_id": facts.engine_id,
        "system": facts.system,
        "kernel": facts.kernel,
    }


def _image_json(image: InstalledImage) -> dict[str, Any]:
    return {
        "reference": str(image.reference),
        "engine_id": str(image.engine_id),
        "image_id": str(image.image_id),
        "manifest_digest": str(image.manifest_digest),
        "diff_ids": [str(diff_id) for diff_id in image.diff_ids],
    }


def _models_json(manifest: BundleManifest) -> list[dict[str, Any]]:
    return [
        {
            "name": model.name,
            "repo_id": model.repo_id,
            "commit": model.commit,
            "path": model.path,
            "files": [{"path": file.path, "size": file.size, "sha256": file.sha256.hex} for file in model.files],
        }
        for model in manifest.models
    ]


def parse_receipt(document: Mapping[str, Any], where: str) -> Receipt:
    """Read a receipt; raises BundleError, or ValueError for a digest, where it is not as it was written."""
    fields = Fields(document, where)
    if fields.integer("receipt_version") != RECEIPT_VERSION:
        raise BundleError("the receipt was written by a newer bundler", where=where, remedy="use that one")
    content = fields.text("bundle_json").encode()
    if Digest.of(content) != fields.digest("bundle_digest"):
        raise BundleError("the receipt was changed: its bundle_digest is another", where=where, remedy="restore it")
    into = fields.optional_text("into")
    engine = Fields(document["engine"] if isinstance(document.get("engine"), dict) else {}, f"{where} engine")
    return Receipt(
        run_id=fields.text("run_id"),
        installed_at=fields.text("installed_at"),
        installed_by=fields.text("installed_by"),
        kit=Path(fields.text("kit")),
        tar_sum=fields.digest("tar_sum") if fields.optional_text("tar_sum") else None,
        manifest_bytes=content,
        manifest=parse_bundle_manifest(content, where),
        engine=_parse_engine(engine),
        images=tuple(_parse_image(item) for item in fields.objects("images")),
        files=tuple(
            PlacedFile(Path(item.text("path")), item.size("size"), item.bare_digest("sha256"))
            for item in fields.objects("files")
        ),
        into=Path(into) if into else None,
        checks=tuple(map(parse_check_result, fields.objects("checks"))),
        unread=tuple(fields.texts("members_not_read")),
    )


def _parse_engine(fields: Fields) -> EngineFacts:
    """What a receipt keeps of an engine; places and sizes are not kept, they change."""
    texts = {key: fields.text(key) for key in ("name", "version", "api_version", "platform", "store", "engine_id")}
    told = {key: fields.optional_text(key) or "" for key in ("system", "kernel")}  # receipts of before have none
    return EngineFacts(**texts, **told, data_root=None, free_size=None, peak_factor=0.0, kept_factor=0.0)


def _parse_image(fields: Fields) -> InstalledImage:
    return InstalledImage(
        reference=fields.reference("reference"),
        engine_id=fields.digest("engine_id"),
        image_id=fields.digest("image_id"),
        manifest_digest=fields.digest("manifest_digest"),
        diff_ids=tuple(Digest.parse(text) for text in fields.texts("diff_ids")),
    )
