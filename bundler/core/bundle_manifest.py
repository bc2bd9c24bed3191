"""``bundle.json``: what a bundle holds, as values. Format: ``docs/bundle-format.md``, schema ``docs/bundle.schema.json``.

A reader ignores unknown keys of a version that it knows, and stops at a newer version before it reads anything else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Optional

from bundler.core.check_format import parse_check, render_check
from bundler.core.checks import AnyCheck
from bundler.core.digest import Digest
from bundler.core.errors import BundleError
from bundler.core.json_fields import Fields
from bundler.core.oci import LAYER_KINDS, Descriptor, Layer, canonical_json, parse_object
from bundler.core.reference import Reference
from bundler.core.tarball import require_canonical_name

FORMAT_VERSION = 1
LAYOUTS = ("plain", "hub-cache")
MANIFEST_WRITERS = ("ours", "source")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,127}")


@dataclass(frozen=True)
class ModelFile:
    """One file of a model: its path below the model's (``/`` between parts), bytes, and their digest."""

    path: str
    size: int
    sha256: Digest


@dataclass(frozen=True)
class BundledModel:
    """A model as it stands in the images; ``revision`` was asked for, ``commit`` is what it resolved to.

    ``commit`` is None for files of plain addresses, which their digests alone identify.
    """

    name: str
    repo_id: str
    revision: str
    commit: Optional[str]
    path: str
    layout: str
    license: Optional[str]
    files: tuple[ModelFile, ...]

    @property
    def told(self) -> str:
        """The model for people: ``OWNER/NAME@COMMIT``, or its repo alone where there is no commit."""
        return f"{self.repo_id}@{self.commit}" if self.commit else self.repo_id


@dataclass(frozen=True)
class BundledImage:
    """An image of the bundle; ``kind`` is ``base``, ``app`` or ``foreign``; ``models`` names those inside it.

    ``manifest`` says whose it is: ``ours``, or the image's ``source`` had it and it was kept. None: not recorded.
    """

    reference: Reference
    kind: str
    manifest_digest: Digest
    image_id: Digest
    plain_manifest_digest: Digest
    layers: tuple[Layer, ...]
    models: tuple[str, ...]
    manifest: Optional[str] = None


@dataclass(frozen=True)
class PayloadFile:
    """A file that travels as it is, in the tar as ``files/<path>``."""

    path: str
    size: int
    sha256: Digest


@dataclass(frozen=True)
class BundleManifest:
    """``bundle.json``, parsed; the bytes that it came from are kept beside it by whoever read them."""

    name: str
    version: str
    platform: str
    created: str
    created_by: str
    images: tuple[BundledImage, ...]
    models: tuple[BundledModel, ...]
    files: tuple[PayloadFile, ...]
    checks: tuple[AnyCheck, ...]
    tools: Mapping[str, str] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """``name-version-os-architecture``: the kit's name, and the stem of the tar's."""
        return kit_title(self.name, self.version, self.platform)

    def model(self, name: str) -> BundledModel:
        """The model of that name."""
        return next(model for model in self.models if model.name == name)


def kit_title(name: str, version: str, platform: str) -> str:
    """``name-version-os-architecture``."""
    return f"{name}-{version}-{platform.replace('/', '-')}"


def render_bundle_manifest(manifest: BundleManifest) -> bytes:
    """``bundle.json`` as bytes."""
    return canonical_json(
        {
            "format_version": FORMAT_VERSION,
            "name": manifest.name,
            "version": manifest.version,
            "platform": manifest.platform,
            "created": manifest.created,
            "created_by": manifest.created_by,
            "images": [_image_json(image) for image in manifest.images],
            "models": [_model_json(model) for model in manifest.models],
            "files": [_file_json(file) for file in manifest.files],
            "checks": [render_check(check) for check in manifest.checks],
            "requires": [],
            "tools": dict(manifest.tools),
        }
    )


def _image_json(image: BundledImage) -> dict[str, Any]:
    recorded = {} if image.manifest is None else {"manifest": image.manifest}
    return {
        **recorded,
        "reference": str(image.reference),
        "kind": image.kind,
        "manifest_digest": str(image.manifest_digest),
        "image_id": str(image.image_id),
        "plain_manifest_digest": str(image.plain_manifest_digest),
        "layers": [_layer_json(layer) for layer in image.layers],
        "models": list(image.models),
    }


def _layer_json(layer: Layer) -> dict[str, Any]:
    return {
        "digest": str(layer.blob.digest),
        "size": layer.blob.size,
        "media_type": layer.blob.media_type,
        "diff_id": str(layer.diff_id),
        "uncompressed_size": layer.uncompressed_size,
        "kind": layer.kind,
        "model": layer.model,
    }


def _model_json(model: BundledModel) -> dict[str, Any]:
    return {
        "name": model.name,
        "repo_id": model.repo_id,
        "revision": model.revision,
        "commit": model.commit,
        "path": model.path,
        "layout": model.layout,
        "license": model.license,
        "files": [_file_json(file) for file in model.files],
    }


def _file_json(file: ModelFile | PayloadFile) -> dict[str, Any]:
    return {"path": file.path, "size": file.size, "sha256": file.sha256.hex}


def require_known_format(content: bytes, where: str) -> Fields:
    """The keys of ``bundle.json``; raises BundleError where its format is another one, whatever else stands in it."""
    fields = Fields(parse_object(content, where), where)
    version = fields.integer("format_version")
    if version != FORMAT_VERSION:
        raise BundleError(
            f"the bundle has format {version}, this bundler reads format {FORMAT_VERSION}",
            where=where,
            remedy="use the bundler.pyz that stands in the kit, or a newer bundler",
        )
    return fields


def parse_bundle_manifest(content: bytes, where: str) -> BundleManifest:
    """Read ``bundle.json``; raises BundleError for a newer format and for anything that is not as documented."""
    fields = require_known_format(content, where)
    if fields.objects("requires"):
        raise fields.refused("requires", "this bundler reads no delta bundles: bring the whole bundle")
    models = tuple(_parse_model(item) for item in fields.objects("models"))
    return BundleManifest(
        name=fields.text("name", _NAME),
        version=fields.text("version", _NAME),
        platform=fields.text("platform", re.compile(r"[a-z0-9]+/[a-z0-9]+(/[a-z0-9]+)?")),
        created=fields.text("created"),
        created_by=fields.text("created_by"),
        images=tuple(
            _parse_image(item, frozenset(model.name for model in models)) for item in fields.objects("images")
        ),
        models=models,
        files=tuple(PayloadFile(*_parse_file(item)) for item in fields.objects("files")),
        checks=tuple(parse_check(item) for item in fields.objects("checks")),
        tools=fields.texts_by_key("tools"),
    )


def _parse_image(fields: Fields, known_models: frozenset[str]) -> BundledImage:
    models = tuple(fields.texts("models"))
    if unknown := sorted(set(models) - known_models):
        raise fields.refused("models", f"names models that the bundle does not hold: {', '.join(unknown)}")
    return BundledImage(
        reference=fields.reference("reference"),
        kind=fields.choice("kind", ("base", "app", "foreign")),
        manifest_digest=fields.digest("manifest_digest"),
        image_id=fields.digest("image_id"),
        plain_manifest_digest=fields.digest("plain_manifest_digest"),
        layers=tuple(_parse_layer(item) for item in fields.objects("layers")),
        models=models,
        manifest=fields.optional_choice("manifest", MANIFEST_WRITERS),
    )


def _parse_layer(fields: Fields) -> Layer:
    return Layer(
        diff_id=fields.digest("diff_id"),
        uncompressed_size=fields.size("uncompressed_size"),
        blob=Descriptor(fields.text("media_type"), fields.digest("digest"), fields.size("size")),
        kind=fields.choice("kind", LAYER_KINDS),
        model=fields.optional_text("model"),
    )


def _parse_model(fields: Fields) -> BundledModel:
    path = fields.text("path")
    _require_name(fields, "path", path[1:] if path.startswith("/") else "")
    return BundledModel(
        name=fields.text("name", _NAME),
        repo_id=fields.text("repo_id"),
        revision=fields.text("revision"),
        commit=_parse_commit(fields),
        path=path,
        layout=fields.choice("layout", LAYOUTS),
        license=fields.optional_text("license"),
        files=tuple(ModelFile(*_parse_file(item)) for item in fields.objects("files")),
    )


def _parse_commit(fields: Fields) -> Optional[str]:
    commit = fields.optional_text("commit", re.compile(r"[0-9a-f]{40}"))
    if commit is None and fields.text("layout") == "hub-cache":
        raise fields.refused("commit", "a Hub cache has a commit")
    return commit


def _parse_file(fields: Fields) -> tuple[str, int, Digest]:
    path = fields.text("path")
    _require_name(fields, "path", path)
    return path, fields.size("size"), fields.bare_digest("sha256")


def _require_name(fields: Fields, key: str, name: str) -> None:
    try:
        require_canonical_name(name)
    except ValueError as error:
        raise fields.refused(key, str(error)) from error
