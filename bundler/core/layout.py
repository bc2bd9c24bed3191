"""The members of a bundle beside its blobs: their names, their order, and the two indexes that other programs read.

Sources: OCI image-spec ``image-layout.md`` (``oci-layout``, ``index.json``, ``blobs/``), annotations of
``annotations.md`` and of containerd; the docker-archive ``manifest.json`` of moby's ``docs/image-spec-v1.2``.
"""

from __future__ import annotations

from collections.abc import Sequence

from bundler.core.bundle_manifest import BundleManifest
from bundler.core.digest import Digest
from bundler.core.oci import INDEX, MANIFEST, Descriptor, Image, canonical_json, parse_object

BUNDLE_JSON = "bundle.json"
INDEX_JSON = "index.json"
OCI_LAYOUT = "oci-layout"
MANIFEST_JSON = "manifest.json"
MEMBERS = "MEMBERS"
#: In this order at the end of the tar, ``MEMBERS`` last of all.
METADATA = (BUNDLE_JSON, INDEX_JSON, OCI_LAYOUT, MANIFEST_JSON)

SHA256SUMS = "SHA256SUMS"
HEAD = "head"
#: What stands in a kit's ``head/``, byte for byte as in the tar.
HEAD_MEMBERS = (BUNDLE_JSON, INDEX_JSON, MANIFEST_JSON, MEMBERS)
README = "README.txt"
LOADER = "bundler.pyz"
PAPERS = "papers"


def blob_name(digest: Digest) -> str:
    """The member that holds the blob."""
    return f"blobs/sha256/{digest.hex}"


def payload_name(path: str) -> str:
    """The member that holds the payload file ``path``."""
    return f"files/{path}"


def member_order(manifest: BundleManifest) -> tuple[str, ...]:
    """All members in the canonical order: images as listed, layers from the lowest, config, manifest; each once."""
    names: dict[str, None] = {}
    for image in manifest.images:
        for digest in (*(layer.blob.digest for layer in image.layers), image.image_id, image.manifest_digest):
            names[blob_name(digest)] = None
    names.update(dict.fromkeys(payload_name(file.path) for file in manifest.files))
    return (*names, *METADATA, MEMBERS)


def render_oci_layout() -> bytes:
    """The marker of an OCI image layout."""
    return canonical_json({"imageLayoutVersion": "1.0.0"})


def render_index(images: Sequence[Image]) -> bytes:
    """``index.json``: every image by manifest, named for OCI readers and for containerd."""
    entries = []
    for image in images:
        os_name, architecture, *variant = image.platform.split("/")
        media_type = str(parse_object(image.manifest, str(image.reference)).get("mediaType", MANIFEST))
        name = str(image.reference)
        entries.append(
            {
                **Descriptor.of(media_type, image.manifest).to_json(),
                "platform": {
                    "os": os_name,
                    "architecture": architecture,
                    **({"variant": variant[0]} if variant else {}),
                },
                "annotations": {"org.opencontainers.image.ref.name": name, "io.containerd.image.name": name},
            }
        )
    return canonical_json({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries})


def render_docker_manifest(images: Sequence[Image]) -> bytes:
    """``manifest.json``: the same images for readers of docker-archives."""
    return canonical_json(
        [
            {
                "Config": blob_name(image.image_id),
                "RepoTags": [str(image.reference)],
                "Layers": [blob_name(layer.blob.digest) for layer in image.layers],
            }
            for image in images
        ]
    )
