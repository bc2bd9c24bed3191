"""A bundle of a few KB, made by the product's own writers from hand-made layers: a model, an OS layer, an app layer."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from bundler.builder.compose import Foundation, PlacedModel, Release, compose_app, compose_base
from bundler.builder.compress import Compressed, Compression, Sink, compress_chunks
from bundler.builder.kit_writer import StagedKit
from bundler.builder.layer import Entry, layer_chunks, with_parents
from bundler.builder.model_tree import ModelTree, TreeFile, model_entries
from bundler.builder.stack import Stack, take_apart
from bundler.builder.writer import BundleWriter
from bundler.core.bundle_manifest import BundledImage, BundledModel, BundleManifest
from bundler.core.checks import RunCheck
from bundler.core.digest import Digest
from bundler.core.kit import TrustPolicy
from bundler.core.oci import Image, Layer, canonical_json, render_plain_manifest
from bundler.core.progress import SilentProgress
from bundler.core.reference import Reference
from bundler.core.verify import verify_kit

CREATED = "2024-01-02T03:04:05Z"
RELEASE = Release("tiny", "1.0.0", "linux/amd64", CREATED)
COMPRESSION = Compression(threads=1)
BASE, APP = Reference.parse("example.org/tiny:base"), Reference.parse("example.org/tiny:1.0.0")
OS_FILES = {"etc/passwd": b"root:x:0:0:root:/root:/bin/sh\n", "bin/sh": b"not really"}


def file_entries(files: dict[str, bytes]) -> tuple[Entry, ...]:
    return with_parents([Entry(name, size=len(content), source=content) for name, content in files.items()])


def exported(name: str, layers: tuple[Layer, ...], **config: object) -> Stack:
    """An image as an engine would export it, taken apart."""
    document = {
        "architecture": "amd64",
        "os": "linux",
        "container": "0123",
        "docker_version": "20.10",
        "config": {"Env": ["PATH=/bin"], "Hostname": "0123", **config},
        "history": [{"created": CREATED, "created_by": f"RUN step {number}"} for number in range(len(layers))],
        "rootfs": {"type": "layers", "diff_ids": [str(layer.diff_id) for layer in layers]},
    }
    return take_apart(name, canonical_json(document), layers)


@dataclass(frozen=True)
class Tiny:
    """What the bundle is made of; ``noise`` random bytes make its model larger."""

    noise: int = 0
    seed: int = 1

    @property
    def model(self) -> ModelTree:
        weights = random.Random(self.seed).randbytes(300 + self.noise)
        files = {"config.json": b'{"a": 1}', "model.safetensors": weights}
        listed = (TreeFile(name, len(data), Digest.of(data), data) for name, data in files.items())
        return ModelTree("m", PurePosixPath("/app/models/m"), 0, 0, tuple(listed))

    @property
    def layers(self) -> tuple[tuple[Entry, ...], ...]:
        """Entries of the three layers, from the lowest."""
        return model_entries(self.model), file_entries(OS_FILES), file_entries({"app/main.py": b"print(1)\n"})


def write_tar(path: Path, tiny: Tiny, payload: Path) -> BundleManifest:
    """Write the tar at ``path`` in one pass, as a build does."""
    with BundleWriter(path) as writer:
        packed = []
        for entries in tiny.layers:
            if len(packed) == 2:
                _add_image(writer, base := _base(tiny, packed))
            packed.append(_packed(writer, entries))
        app = _app(tiny, packed)
        _add_image(writer, app)
        files = (writer.add_payload("compose.yaml", payload),)
        manifest = _manifest(tiny, [(base, "base"), (app, "app")], files)
        writer.finish(manifest, [base, app])
    return manifest


def make_tiny_kit(directory: Path, tiny: Tiny = Tiny()) -> Path:
    """A kit below ``directory``, made and checked as a build does it."""
    directory.mkdir(parents=True, exist_ok=True)
    payload, loader = directory / "compose.yaml", directory / "loader"
    payload.write_bytes(b"services: {}\n")
    loader.write_bytes(b"#!/usr/bin/env python3\n")
    with StagedKit(directory, "tiny-1.0.0-linux-amd64") as kit:
        manifest = write_tar(kit.tar, tiny, payload)
        report = verify_kit(kit.tar, TrustPolicy(), SilentProgress())
        assert report.problems == ()
        assert report.tar_sum is not None
        kit.write(manifest, report.tar_sum, loader, {"licences/m/LICENSE": b"free\n", "checks.json": b"[]"})
        return kit.publish()


def _packed(writer: BundleWriter, entries: tuple[Entry, ...]) -> Compressed:
    def produce(sink: Sink) -> Compressed:
        return compress_chunks(layer_chunks(entries), sink, COMPRESSION)

    return writer.add_blob_stream(produce)


def _foundation(tiny: Tiny, packed: list[Compressed]) -> Foundation:
    model = PlacedModel(packed[0].layer("model", "m"), "m", f"org/m@{'c' * 40}", tiny.model.path)
    return Foundation((model,), exported("base", (packed[1].layer("os"),)))


def _base(tiny: Tiny, packed: list[Compressed]) -> Image:
    return compose_base(BASE, _foundation(tiny, packed), RELEASE)


def _app(tiny: Tiny, packed: list[Compressed]) -> Image:
    stack = exported("app", tuple(each.layer("os") for each in packed[1:]), Cmd=["python3", "/app/main.py"])
    return compose_app(APP, stack, _foundation(tiny, packed), RELEASE)


def _add_image(writer: BundleWriter, image: Image) -> None:
    writer.add_blob(image.config)
    writer.add_blob(image.manifest)


def _manifest(tiny: Tiny, images: list[tuple[Image, str]], files: tuple) -> BundleManifest:  # type: ignore[type-arg]
    model = BundledModel("m", "org/m", "main", "c" * 40, str(tiny.model.path), "plain", "mit", tiny.model.model_files)
    return BundleManifest(
        name="tiny",
        version="1.0.0",
        platform="linux/amd64",
        created=CREATED,
        created_by="bundler tests",
        images=tuple(_bundled(image, kind) for image, kind in images),
        models=(model,),
        files=files,
        checks=(RunCheck("answers", APP, ("true",), 10.0, None, {"A": "b"}, (), False, ("yes",), ()),),
        tools={"bundler": "0"},
    )


def _bundled(image: Image, kind: str) -> BundledImage:
    plain = Digest.of(render_plain_manifest(image.config, image.layers))
    ids = (image.manifest_digest, image.image_id, plain)
    return BundledImage(image.reference, kind, *ids, image.layers, ("m",), "ours")
