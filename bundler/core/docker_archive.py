"""One nameless image as a stream of tar for ``POST /images/load``, with no more than its topmost layer inside.

Two forms, by what the engine's store takes without the layers that it holds: the docker-archive form for graph
drivers (which find the lower layers by their chain), the OCI layout for containerd stores (which find them by their
blobs, and keep our manifest). Nothing is buffered: the layer is read while it is sent.

In the second form the layer's member has a new name each time. containerd knows a blob that is being written by the
member's name, and goes on with what an interrupted load left under it, whatever bytes these were; by which digest a
blob is found afterwards is decided by its content alone (containerd ``images/archive/importer.go``).

Sources: moby ``image/spec/v1.2.md`` ("Combined Image JSON + Filesystem Changeset Format"), OCI image-spec
``image-layout.md``.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from typing import BinaryIO, Optional

from bundler.core.digest import CHUNK_BYTES
from bundler.core.errors import BundleError
from bundler.core.layout import INDEX_JSON, MANIFEST_JSON, OCI_LAYOUT, blob_name, render_oci_layout
from bundler.core.oci import INDEX, MANIFEST, Descriptor, Image, canonical_json, parse_object
from bundler.core.tarball import END, padding, render_header

_REMEDY = "the medium or the copy is damaged: bring the bundle here again"


def docker_archive(image: Image, layer: Optional[BinaryIO]) -> Iterator[bytes]:
    """``image`` for a graph driver; ``layer`` is the plain tar of its topmost layer, None where that is held too."""
    names = [f"{layer.diff_id.hex}.tar" for layer in image.layers]
    config = f"{image.image_id.hex}.json"
    entry = {"Config": config, "RepoTags": None, "Layers": names}
    small = {config: image.config, MANIFEST_JSON: canonical_json([entry])}
    return _archive(small, names[-1] if names else "", image.layers[-1].uncompressed_size if names else 0, layer)


def oci_archive(image: Image, layer: Optional[BinaryIO]) -> Iterator[bytes]:
    """``image`` for a containerd store; ``layer`` is the blob of its topmost layer as stored, None where it is held."""
    media_type = str(parse_object(image.manifest, str(image.reference)).get("mediaType", MANIFEST))
    os_name, architecture, *variant = image.platform.split("/")
    platform = {"os": os_name, "architecture": architecture, **({"variant": variant[0]} if variant else {})}
    entry = {**Descriptor.of(media_type, image.manifest).to_json(), "platform": platform}
    small = {
        OCI_LAYOUT: render_oci_layout(),
        INDEX_JSON: canonical_json({"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]}),
        blob_name(image.manifest_digest): image.manifest,
        blob_name(image.image_id): image.config,
    }
    blob = image.layers[-1].blob if image.layers else None
    name = f"{blob_name(blob.digest)}.{secrets.token_hex(8)}" if blob else ""
    return _archive(small, name, blob.size if blob else 0, layer)


def _archive(small: Mapping[str, bytes], name: str, size: int, layer: Optional[BinaryIO]) -> Iterator[bytes]:
    """The small members, then the layer, then the end."""
    for member, content in small.items():
        yield render_header(member, len(content)) + content + bytes(padding(len(content)))
    if layer is not None:
        yield render_header(name, size)
        yield from _pieces(layer, size, name)
        yield bytes(padding(size))
    yield END


def _pieces(layer: BinaryIO, size: int, name: str) -> Iterator[bytes]:
    """The content of ``layer``; BundleError where it cannot be read or is not ``size`` bytes long."""
    left = size
    while chunk := _read(layer, name):
        left -= len(chunk)
        if left < 0:
            break
        yield chunk
    if left:
        raise BundleError(f"the layer is not {size} bytes long", where=name, remedy=_REMEDY)


def _read(layer: BinaryIO, name: str) -> bytes:
    try:
        return layer.read(CHUNK_BYTES)
    except OSError as error:  # it would look like the engine's fault from further above
        raise BundleError(f"the layer cannot be read: {error.strerror}", where=name, remedy=_REMEDY) from error
