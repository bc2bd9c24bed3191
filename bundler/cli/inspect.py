"""``bundler inspect``: what a bundle holds, from its metadata alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from bundler.cli.installer_options import json_option, kit_argument
from bundler.cli.tables import human_size, human_time, table
from bundler.core.bundle import VerifiedBundle, open_bundle
from bundler.core.bundle_manifest import BundleManifest
from bundler.core.checks import kind_of
from bundler.core.digest import Digest
from bundler.core.kit import TrustPolicy
from bundler.core.oci import Layer
from bundler.core.printable import printable

#: Whose the manifest of an image is; None: the bundle is of a release that did not record it.
_WRITERS = {"ours": "bundler's", "source": "its source's", None: "-"}


@click.command()
@kit_argument()
@json_option
def inspect(kit: Path, as_json: bool) -> int:
    """Show the images, models, layers and sizes of the kit (or bare tar) at KIT.

    The metadata are verified; the layers are not read (`bundler verify` does that).
    """
    bundle = open_bundle(kit, TrustPolicy())
    click.echo(json.dumps(as_object(bundle), ensure_ascii=False) if as_json else as_text(bundle))
    return 0


def sharing(manifest: BundleManifest) -> dict[Digest, tuple[Layer, tuple[str, ...]]]:
    """Each blob once, with its layer and the images that it stands in."""
    users: dict[Digest, list[str]] = {}
    layers: dict[Digest, Layer] = {}
    for image in manifest.images:
        for layer in image.layers:
            layers[layer.blob.digest] = layer
            names = users.setdefault(layer.blob.digest, [])
            if image.reference.familiar not in names:
                names.append(image.reference.familiar)
    return {digest: (layer, tuple(users[digest])) for digest, layer in layers.items()}


def as_object(bundle: VerifiedBundle) -> dict[str, Any]:
    """The content and the sizes (bytes): ``raw`` uncompressed, ``stored`` as in the tar; shared layers count once."""
    manifest = bundle.manifest
    layers = sharing(manifest)
    return {
        **{key: getattr(manifest, key) for key in ("title", "name", "version", "platform", "created", "created_by")},
        "bundle_digest": str(Digest.of(bundle.manifest_bytes)),
        "signed": False,
        "raw_size": sum(layer.uncompressed_size for layer, _ in layers.values()),
        "stored_size": sum(layer.blob.size for layer, _ in layers.values()),
        "images": [
            {
                "reference": str(image.reference),
                "kind": image.kind,
                "image_id": str(image.image_id),
                "manifest_digest": str(image.manifest_digest),
                "manifest": image.manifest,
                "models": list(image.models),
                "layers": [str(layer.blob.digest) for layer in image.layers],
            }
            for image in manifest.images
        ],
        "models": [
            {
                "name": model.name,
                "repo_id": model.repo_id,
                "revision": model.revision,
                "commit": model.commit,
                "license": model.license,
                "path": model.path,
                "size": sum(file.size for file in model.files),
                "files": [{"path": file.path, "size": file.size, "sha256": file.sha256.hex} for file in model.files],
            }
            for model in manifest.models
        ],
        "layers": [_layer_object(layer, users) for layer, users in layers.values()],
        "files": [{"path": file.path, "size": file.size, "sha256": file.sha256.hex} for file in manifest.files],
        "checks": [
            {
                "name": check.name,
                "kind": kind_of(check),
                "image": str(check.image),
                "run": list(check.run),
                "within_s": check.within_s,
            }
            for check in manifest.checks
        ],
    }


def _layer_object(layer: Layer, users: tuple[str, ...]) -> dict[str, Any]:
    return {
        "digest": str(layer.blob.digest),
        "diff_id": str(layer.diff_id),
        "media_type": layer.blob.media_type,
        "kind": layer.kind,
        "model": layer.model,
        "raw_size": layer.uncompressed_size,
        "stored_size": layer.blob.size,
        "images": list(users),
    }


def as_text(bundle: VerifiedBundle) -> str:
    """The same for people, as tables."""
    manifest = bundle.manifest
    layers = sharing(manifest)
    raw = sum(layer.uncompressed_size for layer, _ in layers.values())
    stored = sum(layer.blob.size for layer, _ in layers.values())
    parts = [
        printable(f"{manifest.title}, made {manifest.created} by {manifest.created_by}; not signed", keep=""),
        f"{human_size(stored)} of layers, {human_size(raw)} unpacked",
        _images_table(manifest),
        _models_table(manifest),
        _layers_table(layers),
    ]
    if manifest.files:
        rows = [(file.path, human_size(file.size), file.sha256.hex) for file in manifest.files]
        parts.append(table(("FILE", "SIZE", "SHA256"), rows, right=(1,)))
    if manifest.checks:
        checks = [
            (check.name, kind_of(check), check.image.familiar, human_time(check.within_s)) for check in manifest.checks
        ]
        parts.append(table(("CHECK", "KIND", "IMAGE", "WITHIN"), checks, right=(3,)))
    return "\n\n".join(part for part in parts if part)


def _images_table(manifest: BundleManifest) -> str:
    rows = [
        (
            image.reference.familiar,
            image.kind,
            human_size(sum(layer.uncompressed_size for layer in image.layers)),
            str(len(image.layers)),
            str(image.image_id)[7:19],
            _WRITERS[image.manifest],
            ", ".join(image.models) or "-",
        )
        for image in manifest.images
    ]
    return table(("IMAGE", "KIND", "UNPACKED", "LAYERS", "ID", "MANIFEST", "MODELS"), rows, right=(2, 3))


def _models_table(manifest: BundleManifest) -> str:
    rows = [
        (
            model.name,
            f"{model.repo_id}@{model.commit[:12]}" if model.commit else model.repo_id,
            model.license or "-",
            str(len(model.files)),
            human_size(sum(file.size for file in model.files)),
            model.path,
        )
        for model in manifest.models
    ]
    return table(("MODEL", "FROM", "LICENSE", "FILES", "SIZE", "PATH"), rows, right=(3, 4)) if rows else ""


def _layers_table(layers: dict[Digest, tuple[Layer, tuple[str, ...]]]) -> str:
    rows = [
        (
            str(digest)[7:19],
            layer.kind + (f" {layer.model}" if layer.model else ""),
            human_size(layer.uncompressed_size),
            human_size(layer.blob.size),
            ", ".join(users),
        )
        for digest, (layer, users) in layers.items()
    ]
    return table(("LAYER", "KIND", "UNPACKED", "STORED", "IN"), rows, right=(2, 3))
