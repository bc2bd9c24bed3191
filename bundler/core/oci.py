"""Images as values: descriptors, layers, configs and manifests, as the OCI image specification 1.1 defines them.

Nothing here knows an engine, a file system or a registry, and nothing is changed in place. A parsed form never
replaces the bytes that it came from: bytes are hashed as they stand and are never serialised again.

Sources: OCI image-spec ``descriptor.md``, ``manifest.md``, ``config.md`` ("Layer ChainID").
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Optional

from bundler.core.digest import Digest
from bundler.core.errors import BundleError
from bundler.core.reference import Reference

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER_ZSTD = "application/vnd.oci.image.layer.v1.tar+zstd"
LAYER_TAR = "application/vnd.oci.image.layer.v1.tar"

#: What a layer is to the bundle; the order here is the order from the lowest in an image of ours.
LAYER_KINDS = ("model", "os", "derived", "app", "foreign")


def canonical_json(value: object) -> bytes:
    """JSON as bundler writes it: sorted keys, no white space, UTF-8."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


@dataclass(frozen=True)
class Descriptor:
    """What identifies a blob: its media type, the digest of its bytes as stored, and their number."""

    media_type: str
    digest: Digest
    size: int

    @classmethod
    def of(cls, media_type: str, content: bytes) -> Descriptor:
        """Descriptor of ``content``."""
        return cls(media_type, Digest.of(content), len(content))

    def to_json(self) -> dict[str, Any]:
        """The OCI form."""
        return {"mediaType": self.media_type, "digest": str(self.digest), "size": self.size}


@dataclass(frozen=True)
class Layer:
    """One layer: ``diff_id`` and ``uncompressed_size`` of the plain tar, ``blob`` of the bytes as stored."""

    diff_id: Digest
    uncompressed_size: int
    blob: Descriptor
    kind: str
    model: Optional[str] = None


@dataclass(frozen=True)
class Image:
    """An image: its fully qualified name, the bytes of config and manifest, and its layers from the lowest."""

    reference: Reference
    config: bytes
    manifest: bytes
    layers: tuple[Layer, ...]

    @property
    def image_id(self) -> Digest:
        """Digest of the config: what engines with a graph driver call the image's id."""
        return Digest.of(self.config)

    @property
    def manifest_digest(self) -> Digest:
        """Digest of the manifest: what registries and containerd stores call the image."""
        return Digest.of(self.manifest)

    @property
    def diff_ids(self) -> tuple[Digest, ...]:
        """The layers' diff_ids, from the lowest."""
        return tuple(layer.diff_id for layer in self.layers)

    @property
    def chain_ids(self) -> tuple[Digest, ...]:
        """What graph drivers know layers by, from the lowest."""
        return chain_ids(self.diff_ids)

    @property
    def platform(self) -> str:
        """``os/architecture[/variant]`` as the config says it."""
        return config_platform(parse_object(self.config, f"config of {self.reference}"))

    def prefix(self, count: int) -> Image:
        """The lowest ``count`` layers as an image of their own, with nothing in its config that could be run.

        Loading an image layer by layer needs an image for each step; these carry no name and are removed when
        the whole image stands. With all layers it is the image itself.
        """
        if count == len(self.layers):
            return self
        layers = self.layers[:count]
        config = parse_object(self.config, f"config of {self.reference}")
        os_name, architecture = str(config["os"]), str(config["architecture"])
        kept = {key: config[key] for key in ("variant",) if key in config}
        document = render_config({"os": os_name, "architecture": architecture, **kept, "config": {}}, layers)
        media_type = str(parse_object(self.manifest, "manifest").get("mediaType", MANIFEST))
        config_type = str(parse_object(self.manifest, "manifest")["config"]["mediaType"])
        return Image(self.reference, document, render_manifest(document, layers, media_type, config_type), layers)


def chain_ids(diff_ids: Iterable[Digest]) -> tuple[Digest, ...]:
    """ChainIDs of a stack of layers, from the lowest (image-spec ``config.md``, "Layer ChainID")."""
    chain: list[Digest] = []
    for diff_id in diff_ids:
        chain.append(Digest.of(f"{chain[-1]} {diff_id}".encode()) if chain else diff_id)
    return tuple(chain)


def render_config(document: Mapping[str, Any], layers: Sequence[Layer]) -> bytes:
    """``document`` with the ``rootfs`` of ``layers``, as bytes."""
    rootfs = {"type": "layers", "diff_ids": [str(layer.diff_id) for layer in layers]}
    return canonical_json({**document, "rootfs": rootfs})


def render_manifest(
    config: bytes, layers: Sequence[Layer], media_type: str = MANIFEST, config_type: str = CONFIG
) -> bytes:
    """A manifest over ``config`` and the layers' blobs."""
    document = {
        "schemaVersion": 2,
        "mediaType": media_type,
        "config": Descriptor.of(config_type, config).to_json(),
        "layers": [layer.blob.to_json() for layer in layers],
    }
    return canonical_json(document)


def render_plain_manifest(config: bytes, layers: Sequence[Layer]) -> bytes:
    """The manifest over the same config with uncompressed layers, for registries whose nodes read no zstd."""
    document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": Descriptor.of(CONFIG, config).to_json(),
        "layers": [Descriptor(LAYER_TAR, layer.diff_id, layer.uncompressed_size).to_json() for layer in layers],
    }
    return canonical_json(document)


def parse_object(content: bytes, where: str) -> dict[str, Any]:
    """A JSON object out of untrusted bytes; raises BundleError for anything else."""
    try:
        value = json.loads(content.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise BundleError(f"not JSON: {error}", where=where, remedy="bring the bundle here again") from error
    if not isinstance(value, dict):
        raise BundleError("not a JSON object", where=where, remedy="bring the bundle here again")
    return value


def config_platform(config: Mapping[str, Any]) -> str:
    """``os/architecture[/variant]`` of a parsed config."""
    parts = [str(config.get("os", "")), str(config.get("architecture", ""))]
    if config.get("variant"):
        parts.append(str(config["variant"]))
    return "/".join(parts)
