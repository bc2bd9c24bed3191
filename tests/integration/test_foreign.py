"""Images of others out of a real registry, layouts and save files that real programs wrote, and the engine."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import pytest

from bundler.builder.foreign import ForeignImage, Wanted, from_docker_archive, from_layout, from_registry, image_over
from bundler.builder.lock import LockedImage
from bundler.cli.progress import JsonProgress
from bundler.core.digest import Digest
from bundler.core.errors import EngineError, RecipeError
from bundler.core.oci import LAYER_TAR, Descriptor, Layer
from bundler.core.progress import SilentProgress
from bundler.core.reference import Reference
from bundler.core.registry import Credentials, Registry, is_loopback, stored_credentials
from testbed.engines import RunningEngine


@dataclass(frozen=True)
class Kept:
    diff_id: Digest
    size: int

    def layer(self) -> Layer:
        return Layer(self.diff_id, self.size, Descriptor(LAYER_TAR, self.diff_id, self.size), "foreign")


@dataclass
class Store:
    layers: dict[Digest, Kept] = field(default_factory=dict)

    def find(self, diff_id: Digest) -> Kept | None:
        return self.layers.get(diff_id)

    def store(self, stream: BinaryIO) -> Kept:
        content = b"".join(iter(lambda: stream.read(1 << 20), b""))
        kept = Kept(Digest(hashlib.sha256(content).hexdigest()), len(content))
        return self.layers.setdefault(kept.diff_id, kept)


def wanted(asked: str, platform: str = "linux/amd64") -> Wanted:
    return Wanted(asked, Reference.parse("redis:7"), platform)


def skopeo(*arguments: str) -> str:
    return subprocess.run(
        ["skopeo", "--insecure-policy", *arguments], check=True, capture_output=True, text=True, timeout=600
    ).stdout


@pytest.fixture(scope="module")
def pushed(docker26: RunningEngine, registry: str, busybox: Callable[[RunningEngine, str], str]) -> Iterator[str]:
    """An image of two layers in the registry; its name there."""
    name = f"{registry}/others/redis:7"
    busybox(docker26, "busybox:1.36")
    docker26.docker("run", "--name", "foreign", "busybox:1.36", "sh", "-c", "echo redis > /redis")
    docker26.docker("commit", "foreign", name)
    docker26.docker("rm", "-f", "foreign")
    docker26.docker("push", "-q", name)
    yield name
    docker26.docker("rmi", name)


def whole(image: ForeignImage, manifest: bytes) -> None:
    """The image's parts fit together and are those of its source."""
    document = json.loads(manifest)
    assert image.image.manifest == manifest
    assert str(image.image.image_id) == document["config"]["digest"]
    assert [str(layer.blob.digest) for layer in image.image.layers] == [each["digest"] for each in document["layers"]]
    for layer in image.image.layers:
        content = image.blobs[layer.blob.digest].read_bytes()
        assert (Digest.of(content), len(content)) == (layer.blob.digest, layer.blob.size)
    assert len(image.image.layers) == 2
    assert image.image.layers[0].uncompressed_size > 1_000_000


def test_from_a_registry_byte_for_byte(pushed: str, registry: str, tmp_path: Path) -> None:
    raw = skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{pushed}").encode()
    told = io.StringIO()
    with Registry(registry) as source:
        found = from_registry(source, wanted(pushed), None, tmp_path, JsonProgress(told))
        ended = [event for event in map(json.loads, told.getvalue().splitlines()) if "ended" in event]
        assert [event["label"] for event in ended] == ["redis:7", "unpack redis:7"]
        assert all(event["done"] == event["total"] > 0 for event in ended)
        whole(found, raw)
        assert (found.locked.kind, found.locked.value) == ("registry-digest", Digest.of(raw))
        again = from_registry(source, wanted(pushed), found.locked, tmp_path, SilentProgress())
        assert again == found
        # A damaged blob of an earlier run is fetched again.
        path = found.blobs[found.image.layers[1].blob.digest]
        path.write_bytes(bytes(path.stat().st_size))
        whole(from_registry(source, wanted(pushed), found.locked, tmp_path, SilentProgress()), raw)
    assert found.image.reference == Reference.parse("redis:7")


def test_a_registry_says_what_it_has_not(pushed: str, registry: str, tmp_path: Path) -> None:
    with Registry(registry) as source:
        for asked in (f"{registry}/others/redis:8", f"{registry}/nobody/nothing:1"):
            with pytest.raises(EngineError, match="no such image"):
                from_registry(source, wanted(asked), None, tmp_path, SilentProgress())
        with pytest.raises(EngineError, match="for linux/amd64, the recipe for linux/arm64"):
            from_registry(source, wanted(pushed, "linux/arm64"), None, tmp_path, SilentProgress())
        gone = LockedImage(role="image", asked=pushed, kind="registry-digest", value=Digest("0" * 64))
        with pytest.raises(EngineError, match="no such image"):
            from_registry(source, wanted(pushed), gone, tmp_path, SilentProgress())


def test_the_platform_is_chosen_from_an_index(pushed: str, registry: str, tmp_path: Path) -> None:
    layout = tmp_path / "layout"
    skopeo("copy", "--src-tls-verify=false", f"docker://{pushed}", f"oci:{layout}:redis:7")
    index = json.loads((layout / "index.json").read_text())
    (entry,) = index["manifests"]
    unknown = {**entry, "platform": {"os": "unknown", "architecture": "unknown"}}
    listed = [unknown, {**entry, "platform": {"os": "linux", "architecture": "amd64"}}]
    content = json.dumps({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": listed}).encode()
    (layout / "blobs/sha256" / Digest.of(content).hex).write_bytes(content)
    outer = {"mediaType": INDEX_TYPE, "digest": str(Digest.of(content)), "size": len(content)}
    (layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [outer]}))
    found = from_layout(layout, wanted("redis:7"), None, tmp_path / "blobs", SilentProgress())
    assert found.locked.value == Digest.of(content)
    assert str(found.image.manifest_digest) == entry["digest"]
    with pytest.raises(EngineError, match="none for linux/arm64"):
        from_layout(layout, wanted("redis:7", "linux/arm64"), None, tmp_path / "blobs", SilentProgress())


INDEX_TYPE = "application/vnd.oci.image.index.v1+json"


@pytest.mark.parametrize("form", ["oci", "oci-archive"])
def test_from_a_layout_byte_for_byte(pushed: str, tmp_path: Path, form: str) -> None:
    path = tmp_path / "layout"
    for tag in ("7", "8") if form == "oci" else ("7",):
        skopeo("copy", "--src-tls-verify=false", f"docker://{pushed}", f"{form}:{path}:{tag}")
    found = from_layout(path, wanted("redis:7"), None, tmp_path / "blobs", SilentProgress())
    whole(found, found.image.manifest)
    assert found.locked.kind == "layout-digest" and found.locked.value == found.image.manifest_digest
    assert from_layout(path, wanted("redis:7"), found.locked, tmp_path / "blobs", SilentProgress()) == found
    other = LockedImage(role="image", asked="redis:7", kind="layout-digest", value=Digest("0" * 64))
    with pytest.raises(RecipeError, match="in the lock"):
        from_layout(path, wanted("redis:7"), other, tmp_path / "blobs", SilentProgress())
    if form == "oci":
        with pytest.raises(RecipeError, match="not in the layout") as caught:
            from_layout(path, wanted("redis:9"), None, tmp_path / "blobs", SilentProgress())
        assert caught.value.remedy == "images there: 7, 8"


def test_a_damaged_layout_is_refused(pushed: str, tmp_path: Path) -> None:
    path = tmp_path / "layout"
    skopeo("copy", "--src-tls-verify=false", f"docker://{pushed}", f"oci:{path}:7")
    largest = max((path / "blobs/sha256").iterdir(), key=lambda each: each.stat().st_size)
    content = bytearray(largest.read_bytes())
    content[len(content) // 2] ^= 1
    largest.write_bytes(content)
    with pytest.raises(EngineError, match="another digest"):
        from_layout(path, wanted("redis:7"), None, tmp_path / "blobs", SilentProgress())
    assert not (tmp_path / "blobs" / largest.name).exists()


@pytest.mark.parametrize("fixture", ["docker20", "docker26", "docker28_containerd"])
@pytest.mark.parametrize("packed", [False, True])
def test_from_a_save_file(
    request: pytest.FixtureRequest,
    busybox: Callable[[RunningEngine, str], str],
    tmp_path: Path,
    fixture: str,
    packed: bool,
) -> None:
    engine: RunningEngine = request.getfixturevalue(fixture)
    busybox(engine, "busybox:1.36")
    engine.docker("tag", "busybox:1.36", "redis:7")
    path, store = tmp_path / "saved.tar", Store()
    engine.docker("save", "-o", str(path), "redis:7", "busybox:1.36")
    engine.docker("rmi", "redis:7")
    if packed:
        subprocess.run(["gzip", str(path)], check=True)
        path = path.with_name("saved.tar.gz")
    told = io.StringIO()
    found, locked = from_docker_archive(path, wanted("redis:7"), None, store, JsonProgress(told))
    heard = json.loads(told.getvalue().splitlines()[-1])
    assert (heard["label"], heard["done"], heard["total"]) == ("redis:7", path.stat().st_size, path.stat().st_size)
    assert (locked.kind, locked.value) == ("image-id", Digest.of(found.config))
    image = image_over(found, Reference.parse("redis:7"), Kept.layer)
    assert image.config == found.config
    assert [str(each) for each in image.diff_ids] == json.loads(found.config)["rootfs"]["diff_ids"]
    assert from_docker_archive(path, wanted("redis:7"), locked, store, SilentProgress()) == (found, locked)
    other = LockedImage(role="image", asked="redis:7", kind="image-id", value=Digest("0" * 64))
    with pytest.raises(RecipeError, match="in the lock"):
        from_docker_archive(path, wanted("redis:7"), other, store, SilentProgress())


def test_a_cut_off_save_file_is_refused(
    docker20: RunningEngine, busybox: Callable[[RunningEngine, str], str], tmp_path: Path
) -> None:
    busybox(docker20, "busybox:1.36")
    path = tmp_path / "saved.tar"
    docker20.docker("save", "-o", str(path), "busybox:1.36")
    size = path.stat().st_size
    for length in (size // 2, size - 10_240, 700):
        with path.open("r+b") as stream:
            stream.truncate(length)
        with pytest.raises(EngineError):
            from_docker_archive(path, wanted("busybox:1.36"), None, Store(), SilentProgress())


def test_a_registry_without_tls_elsewhere_is_not_asked() -> None:
    assert [is_loopback(host) for host in ("127.0.0.1:5000", "localhost", "[::1]:5000", "registry:5000")] == [
        True,
        True,
        True,
        False,
    ]


def test_stored_logins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    assert stored_credentials("registry.invalid") is None
    auths = {"registry.invalid": {"auth": "dXNlcjpzZWNyZXQ="}}
    (tmp_path / "config.json").write_text(json.dumps({"auths": auths}))
    assert stored_credentials("registry.invalid") == Credentials("user", "secret")


def test_names_of_a_tar_are_read(pushed: str, tmp_path: Path) -> None:
    """A layout packed by hand has names that begin with ``./``."""
    layout, path = tmp_path / "layout", tmp_path / "layout.tar"
    skopeo("copy", "--src-tls-verify=false", f"docker://{pushed}", f"oci:{layout}:7")
    with tarfile.open(path, "w") as archive:
        archive.add(layout, arcname=".")
    whole(from_layout(path, wanted("redis:7"), None, tmp_path / "blobs", SilentProgress()), _manifest(layout))


def _manifest(layout: Path) -> bytes:
    (entry,) = json.loads((layout / "index.json").read_text())["manifests"]
    return (layout / "blobs/sha256" / entry["digest"].partition(":")[2]).read_bytes()
