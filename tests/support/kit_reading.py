"""What a finished kit holds, read through the product's own checked readers: bundle, configs, layers as tars."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from bundler.core.bundle import VerifiedBundle, open_bundle
from bundler.core.kit import TrustPolicy
from bundler.core.oci import Image, Layer, parse_object
from bundler.core.progress import SilentProgress
from bundler.core.verify import verify_kit


def open_whole(kit: Path) -> VerifiedBundle:
    """The bundle of a kit in which every byte is as it should be."""
    assert verify_kit(kit, TrustPolicy(), SilentProgress()).problems == ()
    return open_bundle(kit, TrustPolicy())


def image_named(bundle: VerifiedBundle, familiar: str) -> Image:
    """The image that people call ``familiar``."""
    return next(image for image in bundle.images if image.reference.familiar == familiar)


def config_of(image: Image) -> dict[str, Any]:
    """The image's whole config."""
    return parse_object(image.config, str(image.reference))


def layers_of(bundle: VerifiedBundle) -> dict[str, Layer]:
    """Every layer of every image once, by its diff_id, from the lowest of the first image."""
    return {str(layer.diff_id): layer for image in bundle.images for layer in image.layers}


def members_of(bundle: VerifiedBundle, layer: Layer) -> dict[str, tarfile.TarInfo]:
    """The layer's entries by name."""
    with closing(bundle.open_plain_layer(layer)) as stream, tarfile.open(fileobj=stream, mode="r|") as archive:
        return {member.name.strip("/"): member for member in archive}


def plain_bytes(bundle: VerifiedBundle) -> Iterator[tuple[str, bytes]]:
    """Everything of the kit that a person could find something in: layers unpacked, other files as they are."""
    for diff_id, layer in layers_of(bundle).items():
        with closing(bundle.open_plain_layer(layer)) as stream:
            yield diff_id, b"".join(iter(lambda: stream.read(1 << 20), b""))
    for image in bundle.images:
        yield f"config of {image.reference}", image.config
        yield f"manifest of {image.reference}", image.manifest
    directory = bundle.kit.directory
    assert directory is not None
    for path in sorted(directory.rglob("*")):
        if path.is_file() and path.name != "bundler.pyz":
            yield str(path.relative_to(directory)), path.read_bytes()
