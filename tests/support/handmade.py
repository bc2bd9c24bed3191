"""Images made by hand in memory: layers out of a few entries, configs and manifests as the product renders them."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Optional

import zstandard

from bundler.core.digest import Digest
from bundler.core.oci import LAYER_ZSTD, Descriptor, Image, Layer, render_config, render_manifest
from bundler.core.readers import open_plain, open_stored
from bundler.core.reference import Reference

BUSYBOX = Path("/bin/busybox")
PLATFORM = {"os": "linux", "architecture": "amd64"}


@dataclass(frozen=True)
class HandLayer:
    """A layer with its bytes: ``plain`` as an engine unpacks it, ``stored`` as a bundle holds it."""

    layer: Layer
    plain: bytes
    stored: bytes

    def open(self, store: str) -> BinaryIO:
        """A checked reader of the form that the kind of store takes, as a bundle gives it."""
        blob = io.BytesIO(self.stored)
        if store == "graph":
            return open_plain(self.layer, blob, "a test's layer")
        return open_stored(self.layer, blob, "a test's layer")

    def bytes_for(self, store: str) -> bytes:
        return self.plain if store == "graph" else self.stored


def entry(
    name: str, content: bytes = b"", *, mode: int = 0o644, kind: bytes = tarfile.REGTYPE, link: str = ""
) -> bytes:
    """One member of a layer."""
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.linkname, info.size = kind, mode, link, len(content)
    return info.tobuf(tarfile.USTAR_FORMAT) + content + bytes(-len(content) % 512)


def make_layer(*entries: bytes, lie: Optional[Digest] = None, kind: str = "app", level: int = 3) -> HandLayer:
    """A layer of these entries; ``lie`` is stated as its diff_id instead of the true one."""
    plain = b"".join(entries) + bytes(1024)
    stored = zstandard.ZstdCompressor(level=level, threads=1).compress(plain)
    blob = Descriptor.of(LAYER_ZSTD, stored)
    return HandLayer(Layer(lie or Digest.of(plain), len(plain), blob, kind), plain, stored)


def file_layer(name: str, content: bytes) -> HandLayer:
    """A layer with one file and its parents."""
    parents = [str(parent) for parent in reversed(Path(name).parents)][1:]
    folders = [entry(parent, mode=0o755, kind=tarfile.DIRTYPE) for parent in parents]
    return make_layer(*folders, entry(name, content))


def shell_layer() -> HandLayer:
    """A layer with a static busybox as /bin/sh."""
    return make_layer(
        *(entry(name, mode=mode, kind=tarfile.DIRTYPE) for name, mode in (("bin", 0o755), ("tmp", 0o1777))),
        entry("bin/busybox", BUSYBOX.read_bytes(), mode=0o755),
        *(
            entry(f"bin/{name}", kind=tarfile.SYMTYPE, link="busybox")
            for name in ("sh", "id", "ip", "sleep", "yes", "cat", "touch", "head", "grep", "env")
        ),
    )


def make_image(
    name: str,
    layers: Sequence[HandLayer],
    config: Optional[Mapping[str, object]] = None,
    platform: Mapping[str, str] = PLATFORM,
) -> Image:
    """An image of these layers, from the lowest."""
    values = tuple(item.layer for item in layers)
    document = {**platform, "config": {"Env": ["PATH=/bin"], **(config or {})}, "history": []}
    history = [{"created_by": f"layer {number}"} for number in range(len(values))]
    rendered = render_config({**document, "history": history}, values)
    return Image(Reference.parse(name), rendered, render_manifest(rendered, values), values)
