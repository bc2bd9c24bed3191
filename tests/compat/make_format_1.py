#!/usr/bin/env python3
"""Writes the bundle of format 1 that this and every later release has to read: ``data/format-1/…``.

It stands for itself: it follows ``docs/bundle-format.md`` word by word and imports nothing of bundler, so that it writes
format 1 however bundler's own writers change. Its output is kept beside it and is not made again; running it shows where
the bytes come from (equal with the same releases of zstandard and zlib):

    python tests/compat/make_format_1.py DIRECTORY

The images hold every kind of layer and both layouts of models, but nothing that could run.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import sys
import tarfile
from collections.abc import Mapping
from pathlib import Path

import zstandard

TITLE = "compat-1.0.0-linux-amd64"
CREATED = "2024-01-02T03:04:05Z"
ZSTD, TAR = "application/vnd.oci.image.layer.v1.tar+zstd", "application/vnd.oci.image.layer.v1.tar"
OCI_MANIFEST, OCI_CONFIG = (f"application/vnd.oci.image.{kind}.v1+json" for kind in ("manifest", "config"))
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER = "application/vnd.docker"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
CACHE = f"models--acme--reader/snapshots/{COMMIT}"
DEEP = "documents/" + "a-directory-with-a-long-name/" * 4 + "Übersicht.txt"  # more than 100 bytes, beyond ASCII
PAYLOAD = {"compose.yaml": b"services: {}\n", DEEP: "größer\n".encode(), "empty": b""}
Json = dict[str, object]


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def canonical(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def sums(content: Mapping[str, bytes]) -> bytes:
    return "".join(f"{sha256(data)}  {name}\n" for name, data in content.items()).encode()


def noise(size: int) -> bytes:
    """Bytes that do not shrink, and no two pieces of them alike."""
    return b"".join(hashlib.sha256(b"%d" % number).digest() for number in range(size // 32 + 1))[:size]


def file_of(path: str, content: bytes) -> Json:
    return {"path": path, "size": len(content), "sha256": sha256(content)}


class Layer:
    """A layer: its plain tar, its blob, and what ``bundle.json`` says of both."""

    def __init__(self, kind: str, files: Mapping[str, bytes], model: str | None = None) -> None:
        self.plain = layer_tar(files)
        foreign = kind == "foreign"
        self.media_type = f"{DOCKER}.image.rootfs.diff.tar.gzip" if foreign else ZSTD
        self.blob = gzip.compress(self.plain, 6, mtime=0) if foreign else zstd(self.plain)
        self.kind, self.model = kind, model
        self.diff_id = f"sha256:{sha256(self.plain)}"

    def descriptor(self) -> Json:
        return {"mediaType": self.media_type, "digest": f"sha256:{sha256(self.blob)}", "size": len(self.blob)}

    def plain_descriptor(self) -> Json:
        return {"mediaType": TAR, "digest": self.diff_id, "size": len(self.plain)}

    def entry(self) -> Json:
        return {
            **{"digest": f"sha256:{sha256(self.blob)}", "size": len(self.blob), "media_type": self.media_type},
            **{"diff_id": self.diff_id, "uncompressed_size": len(self.plain), "kind": self.kind, "model": self.model},
        }


def zstd(plain: bytes) -> bytes:
    """One frame with a checksum and without a content size."""
    options = zstandard.ZstdCompressor(level=3, threads=1, write_checksum=True, write_content_size=False)
    packer = options.compressobj()
    return packer.compress(plain) + packer.flush()


def layer_tar(files: Mapping[str, bytes]) -> bytes:
    """Entries sorted by name, directories first made; files 0644, directories 0755, all of root, mtime 0."""
    parents = {str(parent) for name in files for parent in Path(name).parents if str(parent) != "."}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name in sorted({*parents, *files}):
            entry = tarfile.TarInfo(name)
            if name in files:
                entry.size, entry.mode = len(files[name]), 0o644
                archive.addfile(entry, io.BytesIO(files[name]))
            else:
                entry.type, entry.mode = tarfile.DIRTYPE, 0o755
                archive.addfile(entry)
    return buffer.getvalue()


class Image:
    """An image: config, manifest, and what ``bundle.json`` and the two indexes say of it."""

    def __init__(self, reference: str, kind: str, layers: list[Layer]) -> None:
        self.reference, self.kind, self.layers = reference, kind, layers
        foreign = kind == "foreign"
        self.type = f"{DOCKER}.distribution.manifest.v2+json" if foreign else OCI_MANIFEST
        document = {
            **{"created": CREATED, "os": "linux", "architecture": "amd64", "config": {"Env": ["PATH=/bin"]}},
            "history": [{"created": CREATED, "created_by": f"layer {number}"} for number, _ in enumerate(layers)],
            "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
        }
        # An image of others keeps its bytes, however they are written.
        self.config = json.dumps(document, indent=2).encode() if foreign else canonical(document)
        blobs = [layer.descriptor() for layer in layers]
        config_type = f"{DOCKER}.container.image.v1+json" if foreign else OCI_CONFIG
        manifest = manifest_over(self.config, blobs, self.type, config_type)
        self.manifest = json.dumps(manifest, indent=3).encode() if foreign else canonical(manifest)

    def blobs(self) -> list[bytes]:
        return [*(layer.blob for layer in self.layers), self.config, self.manifest]

    def entry(self) -> Json:
        plain = manifest_over(self.config, [layer.plain_descriptor() for layer in self.layers])
        return {
            **{"reference": self.reference, "kind": self.kind, "image_id": f"sha256:{sha256(self.config)}"},
            "manifest_digest": f"sha256:{sha256(self.manifest)}",
            "plain_manifest_digest": f"sha256:{sha256(canonical(plain))}",
            "layers": [layer.entry() for layer in self.layers],
            "models": [layer.model for layer in self.layers if layer.model],
        }

    def index_entry(self) -> Json:
        names = ("org.opencontainers.image.ref.name", "io.containerd.image.name")
        return {
            **{"mediaType": self.type, "digest": f"sha256:{sha256(self.manifest)}", "size": len(self.manifest)},
            "platform": {"os": "linux", "architecture": "amd64"},
            "annotations": dict.fromkeys(names, self.reference),
        }

    def archive_entry(self) -> Json:
        layers = [blob_name(layer.blob) for layer in self.layers]
        return {"Config": blob_name(self.config), "RepoTags": [self.reference], "Layers": layers}


def manifest_over(config: bytes, blobs: list[Json], kind: str = OCI_MANIFEST, config_type: str = OCI_CONFIG) -> Json:
    described = {"mediaType": config_type, "digest": f"sha256:{sha256(config)}", "size": len(config)}
    return {"schemaVersion": 2, "mediaType": kind, "config": described, "layers": blobs}


def blob_name(content: bytes) -> str:
    return f"blobs/sha256/{sha256(content)}"


PLAIN_MODEL = {"1_Pooling/config.json": b"{}\n", "config.json": b'{"a":1}\n', "model.safetensors": noise(50_000)}
CACHE_MODEL = {f"{CACHE}/config.json": b'{"b":2}\n', "models--acme--reader/refs/main": COMMIT.encode()}


def models() -> list[Json]:
    about = {"revision": "main", "commit": COMMIT}
    plain = {"name": "tiny", "repo_id": "acme/tiny", "path": "/app/models/tiny", "layout": "plain", "license": "mit"}
    cache = {"name": "reader", "repo_id": "acme/reader", "path": "/app/hub", "layout": "hub-cache", "license": None}
    return [
        {**about, **plain, "files": [file_of(path, content) for path, content in sorted(PLAIN_MODEL.items())]},
        {**about, **cache, "files": [file_of(path, content) for path, content in sorted(CACHE_MODEL.items())]},
    ]


def images() -> list[Image]:
    base = [
        Layer("model", {f"app/models/tiny/{name}": data for name, data in PLAIN_MODEL.items()}, "tiny"),
        Layer("model", {f"app/hub/{name}": data for name, data in CACHE_MODEL.items()}, "reader"),
        Layer("os", {"etc/passwd": b"root:x:0:0:root:/root:/bin/sh\n", "bin/sh": b"nothing that runs\n"}),
        Layer("derived", {"srv/index": b"computed from the models\n"}),
    ]
    app = Layer("app", {"app/main.py": b"print('app')\n"})
    return [
        Image("docker.io/library/compat:base", "base", base),
        Image("docker.io/library/compat:1.0.0", "app", [*base, app]),
        Image("registry.example.org/other/store:7", "foreign", [Layer("foreign", {"srv/of-others": b"theirs\n"})]),
    ]


def bundle_json(members: list[Image]) -> bytes:
    check = {
        **{"kind": "run", "name": "answers", "image": "docker.io/library/compat:1.0.0", "run": ["cat", "/srv/index"]},
        **{"within_s": 1.5, "expect": ["^computed"], "forbid": ["(?i)error"], "user": "10001", "env": {"A": "b"}},
    }
    return canonical(
        {
            **{"format_version": 1, "name": "compat", "version": "1.0.0", "platform": "linux/amd64"},
            **{"created": CREATED, "created_by": "bundler 0.1.0", "requires": [], "checks": [check]},
            "images": [image.entry() for image in members],
            "models": models(),
            "files": [file_of(path, content) for path, content in PAYLOAD.items()],
            "tools": {"bundler": "0.1.0", "zstandard": zstandard.__version__},
        }
    )


def content_of_bundle() -> dict[str, bytes]:
    """The members of the tar, in their order."""
    shown = images()
    members = {blob_name(blob): blob for image in shown for blob in image.blobs()}
    members |= {f"files/{path}": content for path, content in PAYLOAD.items()}
    members["bundle.json"] = bundle_json(shown)
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [image.index_entry() for image in shown]}
    members["index.json"] = canonical(index)
    members["oci-layout"] = canonical({"imageLayoutVersion": "1.0.0"})
    members["manifest.json"] = canonical([image.archive_entry() for image in shown])
    members["MEMBERS"] = sums(members)
    return members


def header(name: str, size: int) -> bytes:
    """One ustar header; a name beyond 100 bytes is split at the rightmost ``/`` that fits."""
    raw, prefix = name.encode(), b""
    if len(raw) > 100:
        cut = max(at for at in range(1, 156) if raw[at : at + 1] == b"/" and len(raw) - at - 1 <= 100)
        prefix, raw = raw[:cut], raw[cut + 1 :]
    head = raw.ljust(100, b"\0") + b"0000644\0" + b"0000000\0" * 2 + b"%011o\0" % size + b"00000000000\0"
    tail = b"0" + bytes(100) + b"ustar\x0000" + bytes(64) + b"0000000\0" * 2 + prefix.ljust(155, b"\0") + bytes(12)
    return head + b"%06o\0 " % (sum(head) + 8 * 32 + sum(tail)) + tail


def tar_of(members: Mapping[str, bytes]) -> bytes:
    parts = (header(name, len(data)) + data + bytes(-len(data) % 512) for name, data in members.items())
    return b"".join(parts) + bytes(1024)


def content_of_kit() -> dict[str, bytes]:
    """The files of the kit by name."""
    members = content_of_bundle()
    kit = {f"head/{name}": members[name] for name in ("bundle.json", "index.json", "manifest.json", "MEMBERS")}
    kit[f"{TITLE}.tar"] = tar_of(members)
    kit["README.txt"] = b"compat 1.0.0 for linux/amd64\n"
    kit["bundler.pyz"] = b"#!/bin/sh\n# in the place of the loader, which is 27 MB\n"
    kit["papers/checks.json"] = b'{"checks":[],"rehearsal":"off"}\n'
    kit["papers/licences/tiny/STATED.txt"] = b"licence: mit\n"
    return {**kit, "SHA256SUMS": sums(dict(sorted(kit.items())))}


def main(directory: Path) -> None:
    for name, content in content_of_kit().items():
        path = directory / TITLE / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
