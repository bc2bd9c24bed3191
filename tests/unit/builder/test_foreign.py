"""Which image of a layout is meant, and layouts that are not whole."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from bundler.builder.foreign import Wanted, from_layout
from bundler.builder.foreign_layout import Layout, chosen_descriptor
from bundler.core.digest import Digest
from bundler.core.errors import BundlerError, EngineError, PreconditionError, RecipeError
from bundler.core.oci import CONFIG, INDEX, MANIFEST, Descriptor, canonical_json
from bundler.core.progress import SilentProgress
from bundler.core.reference import Reference

GZIP = "application/vnd.docker.image.rootfs.diff.tar.gzip"


def plain_layer() -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("file"))
    return stream.getvalue()


class Made:
    """A layout of one image, whose parts a test changes before it is written."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.blobs = folder / "blobs" / "sha256"
        self.blobs.mkdir(parents=True)
        (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
        self.layer = gzip.compress(plain_layer())
        self.diff_ids = [str(Digest.of(plain_layer()))]
        self.platform = {"os": "linux", "architecture": "amd64"}

    def blob(self, media_type: str, content: bytes) -> dict[str, Any]:
        (self.blobs / Digest.of(content).hex).write_bytes(content)
        return Descriptor.of(media_type, content).to_json()

    def manifest(self) -> dict[str, Any]:
        config = canonical_json({**self.platform, "rootfs": {"type": "layers", "diff_ids": self.diff_ids}})
        document = {"schemaVersion": 2, "mediaType": MANIFEST, "config": self.blob(CONFIG, config)}
        return self.blob(MANIFEST, canonical_json({**document, "layers": [self.blob(GZIP, self.layer)]}))

    def index(self, *entries: dict[str, Any]) -> Path:
        (self.folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": list(entries)}))
        return self.folder


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return Made(tmp_path / "layout")


def named(entry: dict[str, Any], key: str, value: str) -> dict[str, Any]:
    return {**entry, "annotations": {key: value}}


def take(path: Path, tmp_path: Path, asked: str = "team/app:1") -> Any:
    wanted = Wanted(asked, Reference.parse(asked).without_digest(), "linux/amd64")
    return from_layout(path, wanted, None, tmp_path / "kept", SilentProgress())


def test_the_only_image_is_taken_whatever_its_name(made: Made, tmp_path: Path) -> None:
    attestation = {**made.manifest(), "platform": {"os": "unknown", "architecture": "unknown"}}
    found = take(made.index(made.manifest(), attestation), tmp_path)
    (layer,) = found.image.layers
    assert (str(layer.diff_id), layer.uncompressed_size) == (made.diff_ids[0], len(plain_layer()))
    assert layer.blob.media_type == GZIP and layer.kind == "foreign"
    assert found.blobs[layer.blob.digest].read_bytes() == made.layer


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("org.opencontainers.image.ref.name", "1"),
        ("org.opencontainers.image.ref.name", "team/app:1"),
        ("io.containerd.image.name", "docker.io/team/app:1"),
    ],
)
def test_an_image_is_found_by_each_way_of_naming(made: Made, key: str, name: str) -> None:
    entry = made.manifest()
    other = {**entry, "digest": str(Digest.of(b"other"))}
    path = made.index(named(other, key, "another:2"), named(entry, key, name))
    with Layout(path) as layout:
        assert str(chosen_descriptor(layout, Reference.parse("team/app:1")).digest) == entry["digest"]
        with pytest.raises(RecipeError, match="not in the layout") as caught:
            chosen_descriptor(layout, Reference.parse("team/app:3"))
    assert "another:2" in caught.value.remedy


def test_a_lie_about_a_layer_is_found(made: Made, tmp_path: Path) -> None:
    made.diff_ids = [str(Digest.of(b"other"))]
    with pytest.raises(EngineError, match="unpacks to"):
        take(made.index(made.manifest()), tmp_path)


def test_more_layers_than_diff_ids(made: Made, tmp_path: Path) -> None:
    made.diff_ids *= 2
    with pytest.raises(EngineError, match="1 layers, but 2 diff_ids"):
        take(made.index(made.manifest()), tmp_path)


def test_a_layer_that_is_no_gzip(made: Made, tmp_path: Path) -> None:
    made.layer = b"not gzip at all"
    with pytest.raises(EngineError, match="gzip"):
        take(made.index(made.manifest()), tmp_path)


def test_an_index_without_the_platform(made: Made, tmp_path: Path) -> None:
    entries = [{**made.manifest(), "platform": {"os": "linux", "architecture": name}} for name in ("arm64", "s390x")]
    inner = made.blob(INDEX, canonical_json({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}))
    with pytest.raises(EngineError, match="none for linux/amd64"):
        take(made.index(inner), tmp_path)


@pytest.mark.parametrize("missing", ["oci-layout", "index.json"])
def test_a_layout_that_is_not_whole(made: Made, tmp_path: Path, missing: str) -> None:
    path = made.index(made.manifest())
    (path / missing).unlink()
    with pytest.raises(EngineError, match=f"{missing} is missing"):
        take(path, tmp_path)


@pytest.mark.parametrize("content", ["[]", "{", '{"manifests": 5}', '{"manifests": [{}]}', '{"manifests": [3]}'])
def test_an_index_that_is_none(made: Made, tmp_path: Path, content: str) -> None:
    path = made.index()
    (path / "index.json").write_text(content)
    with pytest.raises(BundlerError) as caught:
        take(path, tmp_path)
    assert caught.value.exit_code == 8


def test_a_missing_or_changed_blob(made: Made, tmp_path: Path) -> None:
    path = made.index(made.manifest())
    blob = made.blobs / Digest.of(made.layer).hex
    blob.write_bytes(made.layer[:-1] + b"X")
    with pytest.raises(EngineError, match="another digest"):
        take(path, tmp_path)
    blob.unlink()
    with pytest.raises(EngineError, match="is missing"):
        take(path, tmp_path)


def test_a_path_that_is_nothing(tmp_path: Path) -> None:
    with pytest.raises(PreconditionError):
        take(tmp_path / "nothing", tmp_path)
    (tmp_path / "text").write_text("text")
    with pytest.raises(EngineError, match="not an uncompressed tar"):
        take(tmp_path / "text", tmp_path)
