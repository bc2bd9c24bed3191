"""What ``open_bundle`` refuses although every sum holds: metadata that contradict each other, made to fit by an author.

Each case changes a value of ``bundle.json`` (or a config, or a manifest) and lists everything anew, as somebody who
writes bundles of their own would.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bundler.core.bundle import open_bundle
from bundler.core.digest import Digest
from bundler.core.errors import BundleError, BundlerError, PreconditionError
from bundler.core.kit import TrustPolicy
from bundler.core.layout import BUNDLE_JSON
from bundler.core.oci import Descriptor, canonical_json, render_plain_manifest
from bundler.core.progress import SilentProgress
from bundler.core.verify import verify_kit
from tests.bundles import write_sums
from tests.faults.test_bundle_bytes import Buffered, joined, opened, relisted, split
from tests.support.tiny_bundle import make_tiny_kit

Document = dict[str, Any]


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    kit = make_tiny_kit(tmp_path_factory.mktemp("tiny"))
    return next(kit.glob("*.tar")).read_bytes()


def with_manifest(content: bytes, change: Callable[[Document], object]) -> bytes:
    members = dict(split(content))
    document = json.loads(members[BUNDLE_JSON])
    change(document)
    members[BUNDLE_JSON] = canonical_json(document)
    return relisted(list(members.items()))


def test_a_bundle_gives_out_images_layers_and_files(content: bytes) -> None:
    bundle = opened(content)
    base, app = bundle.images
    assert [layer.kind for layer in app.layers] == ["model", "os", "app"]
    assert app.layers[:2] == base.layers
    assert b"weights" not in bundle.open_plain_layer(app.layers[2]).read()
    blob = bundle.open_stored_layer(app.layers[0]).read()
    assert Digest.of(blob) == app.layers[0].blob.digest
    assert bundle.open_payload(bundle.manifest.files[0]).read() == b"services: {}\n"


def test_unknown_keys_of_a_known_version_are_ignored(content: bytes) -> None:
    def change(document: Document) -> None:
        document["later"] = {"x": [1]}
        document["images"][0]["later"] = 1

    assert opened(with_manifest(content, change)).manifest.name == "tiny"


def test_a_newer_format_is_said_before_anything_else(content: bytes) -> None:
    def change(document: Document) -> None:
        document.clear()
        document["format_version"] = 2

    with pytest.raises(BundleError, match="format 2, this bundler reads format 1"):
        opened(with_manifest(content, change))


def test_a_newer_format_is_said_before_its_tar_is_read(tmp_path: Path) -> None:
    """Its tar may have a form that this reader would call damaged, and its ``bundle.json`` any other key."""
    kit = make_tiny_kit(tmp_path)
    (kit / "head" / BUNDLE_JSON).write_bytes(b'{"format_version":2}')
    tar = kit / f"{kit.name}.tar"
    with tarfile.open(tar, "w") as archive:
        archive.add(kit / "head" / BUNDLE_JSON, BUNDLE_JSON)
    write_sums(kit)
    with pytest.raises(BundleError, match="format 2, this bundler reads format 1") as raised:
        open_bundle(kit, TrustPolicy())
    assert "bundler.pyz" in raised.value.remedy
    report = verify_kit(kit, TrustPolicy(), SilentProgress())
    assert [problem.what for problem in report.problems] == [raised.value.what]
    assert report.tar_sum == Digest.of(tar.read_bytes())


def test_a_head_beyond_all_measure_is_not_read(tmp_path: Path) -> None:
    kit = make_tiny_kit(tmp_path)
    with (kit / "head" / BUNDLE_JSON).open("r+b") as stream:
        stream.truncate((64 << 20) + 1)
    write_sums(kit)
    with pytest.raises(BundleError, match="larger than 67108864 bytes"):
        open_bundle(kit, TrustPolicy())


def _set(*path: Any, value: Any) -> Callable[[Document], None]:
    def change(document: Document) -> None:
        place: Any = document
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value

    return change


OTHER = "sha256:" + "0" * 64
LONE = "\ud800"


@pytest.mark.parametrize(
    "change",
    [
        _set("images", 0, "layers", 0, "diff_id", value=OTHER),
        _set("images", 0, "layers", 0, "size", value=1),
        _set("images", 0, "layers", 0, "digest", value=OTHER),
        _set("images", 0, "layers", 1, "uncompressed_size", value=1),
        _set("images", 0, "layers", 0, "media_type", value="x/y"),
        _set("images", 0, "layers", 0, "kind", value="os"),
        _set("images", 0, "layers", 1, "kind", value="model"),
        _set("images", 0, "layers", 1, "model", value="m"),
        _set("images", 0, "layers", 1, "model", value="unheard of"),
        _set("images", 0, "layers", value=[]),
        _set("images", 0, "models", value=[]),
        _set("images", 0, "models", value=["m", "m"]),
        _set("images", 0, "models", value=["other"]),
        _set("images", 0, "reference", value="example.org/tiny:1.0.0"),
        _set("images", 0, "reference", value="tiny:base"),
        _set("images", 0, "image_id", value=OTHER),
        _set("images", 0, "manifest_digest", value=OTHER),
        _set("images", 0, "plain_manifest_digest", value=OTHER),
        _set("images", 0, "kind", value="odd"),
        _set("images", value=[]),
        _set("images", value={}),
        _set("platform", value="linux/arm64"),
        _set("platform", value=LONE),
        _set("name", value="../x"),
        _set("version", value="1/2"),
        _set("format_version", value=True),
        _set("format_version", value=1.0),
        _set("requires", value=[{"digest": OTHER}]),
        _set("models", value=[]),
        _set("models", 0, "path", value="app/m"),
        _set("models", 0, "path", value="/app/../m"),
        _set("models", 0, "commit", value="main"),
        _set("models", 0, "files", 0, "path", value="../config.json"),
        _set("models", 0, "files", 0, "path", value=LONE),
        _set("models", 0, "files", 0, "size", value=-1),
        _set("models", 0, "files", 0, "sha256", value=OTHER),
        _set("files", 0, "path", value="other.yaml"),
        _set("files", 0, "path", value="/etc/passwd"),
        _set("files", 0, "size", value=1),
        _set("files", value=[]),
        _set("checks", 0, "image", value="example.org/none:1"),
        _set("checks", 0, "kind", value="later"),
        _set("checks", 0, "within_s", value=float("inf")),
        _set("checks", 0, "within_s", value=10**400),
        _set("tools", value=[]),
        lambda document: document["files"].append({**document["files"][0], "path": "compose.yaml/below"}),
        lambda document: document["models"].append(document["models"][0]),
        lambda document: document["models"].append({**document["models"][0], "name": "unused"}),
        lambda document: document["images"].append(document["images"][0]),
        lambda document: document["images"].reverse(),
        lambda document: document["images"][1]["layers"].reverse(),
        lambda document: document["images"].pop(),
        lambda document: document.pop("name"),
    ],
)
def test_metadata_that_contradict_each_other_are_refused(content: bytes, change: Callable[[Document], object]) -> None:
    members = dict(split(content))
    document = json.loads(members[BUNDLE_JSON])
    change(document)
    members[BUNDLE_JSON] = json.dumps(document).encode()
    with pytest.raises(BundleError):
        opened(relisted(list(members.items())))


@pytest.mark.parametrize("bad", [b"", b"null", b"[]", b"{", b"\xff\xfe{\x00}\x00", b'{"a":' * 5000])
def test_a_bundle_json_that_is_no_object(content: bytes, bad: bytes) -> None:
    members = dict(split(content))
    members[BUNDLE_JSON] = bad
    with pytest.raises(BundleError):
        opened(relisted(list(members.items())))


@pytest.mark.parametrize("media_type", [LONE, "", 5, "application/x\n"])
def test_a_manifest_with_an_odd_media_type(content: bytes, media_type: object) -> None:
    """It would be rendered into the indexes."""
    members, bundle = dict(split(content)), opened(content)
    image = bundle.images[0]
    document = {**json.loads(image.manifest), "mediaType": media_type}
    manifest = json.dumps(document).encode()
    old, new = image.manifest_digest, Digest.of(manifest)
    renamed = {name.replace(old.hex, new.hex): data for name, data in members.items()}
    renamed[f"blobs/sha256/{new.hex}"] = manifest
    renamed[BUNDLE_JSON] = renamed[BUNDLE_JSON].replace(old.hex.encode(), new.hex.encode())
    with pytest.raises(BundleError, match="media type"):
        opened(relisted(list(renamed.items())))


def test_the_buffered_members_serve_like_a_file(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "bare.tar"
    path.write_bytes(content)
    bundle = open_bundle(path, TrustPolicy())
    assert bundle.kit.directory is None
    assert tuple(bundle.members.names()) == Buffered(content).names()


def test_what_is_not_there_or_no_bundle_is_said(tmp_path: Path) -> None:
    with pytest.raises(PreconditionError, match="no such file"):
        open_bundle(tmp_path / "missing", TrustPolicy())
    for data in (b"", b"text", bytes(1024), b"x" * 5000):
        (tmp_path / "file").write_bytes(data)
        with pytest.raises(BundlerError):
            open_bundle(tmp_path / "file", TrustPolicy())


def replaced(content: bytes, name: str, data: bytes) -> bytes:
    return relisted([(each, data if each == name else old) for each, old in split(content)])


@pytest.mark.parametrize("name", ["index.json", "manifest.json", "oci-layout"])
def test_an_index_that_names_something_else(content: bytes, name: str) -> None:
    for data in (b"{}", b"[]", dict(split(content))[name] + b"\n"):
        with pytest.raises(BundleError, match="does not name the images"):
            opened(replaced(content, name, data))


def test_members_listed_in_another_order_or_not_at_all(content: bytes) -> None:
    members = split(content)
    lines = members[-1][1].splitlines(keepends=True)
    for listed, told, difference in (
        ([lines[1], lines[0], *lines[2:]], "another order", None),
        (lines[1:], "does not list", "extra"),
        ([*lines, b"0" * 64 + b"  more\n"], "missing", "missing"),
        ([], "does not list", "extra"),
    ):
        with pytest.raises(BundleError, match=told) as raised:
            opened(joined([*members[:-1], ("MEMBERS", b"".join(listed))]))
        assert raised.value.difference == difference


@pytest.mark.parametrize("name", ["bundle.json", "index.json", "manifest.json", "oci-layout"])
def test_a_bundle_without_one_of_its_metadata(content: bytes, name: str) -> None:
    with pytest.raises(BundleError, match=r"lacks bundle\.json"):
        opened(relisted([member for member in split(content) if member[0] != name]))


def test_metadata_beyond_all_measure_are_not_read(content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bundler.core.bundle.MAX_METADATA_SIZE", 1000)
    with pytest.raises(BundleError, match="larger than 1000 bytes"):
        opened(content)


def forged(content: bytes, change: Callable[[Document, Document], object]) -> bytes:
    """The first image with another config and manifest, every digest that follows from them made to fit."""
    bundle, members = opened(content), dict(split(content))
    image = bundle.images[0]
    config, manifest = json.loads(image.config), json.loads(image.manifest)
    change(config, manifest)
    new_config = canonical_json(config)
    if manifest["config"]["digest"] == str(image.image_id):
        manifest["config"] = Descriptor.of(manifest["config"]["mediaType"], new_config).to_json()
    new_manifest = canonical_json(manifest)
    texts = {
        image.image_id.hex: Digest.of(new_config).hex,
        image.manifest_digest.hex: Digest.of(new_manifest).hex,
        bundle.manifest.images[0].plain_manifest_digest.hex: Digest.of(
            render_plain_manifest(new_config, image.layers)
        ).hex,
    }
    members[f"blobs/sha256/{image.image_id.hex}"] = new_config
    members[f"blobs/sha256/{image.manifest_digest.hex}"] = new_manifest

    def fitted(text: str) -> str:
        for old, new in texts.items():
            text = text.replace(old, new)
        return text

    metadata = ("bundle.json", "index.json", "manifest.json")
    done = {
        fitted(name): fitted(data.decode()).encode() if name in metadata else data for name, data in members.items()
    }
    index = json.loads(done["index.json"])
    index["manifests"][0]["size"] = len(new_manifest)
    return relisted(list({**done, "index.json": canonical_json(index)}.items()))


def test_a_forgery_that_fits_in_all_places_is_another_bundle(content: bytes) -> None:
    """The helper itself makes whole bundles, so that what the next test finds is what it is after."""

    def change(config: Document, manifest: Document) -> None:
        config["author"] = "a"

    bundle = opened(forged(content, change))
    assert json.loads(bundle.images[0].config)["author"] == "a"
    assert bundle.images[0].image_id != opened(content).images[0].image_id


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda config, manifest: config["rootfs"].update(diff_ids=[OTHER]), "diff_ids"),
        (lambda config, manifest: config.pop("rootfs"), "diff_ids"),
        (lambda config, manifest: config.update(rootfs=[]), "diff_ids"),
        (lambda config, manifest: config.update(architecture="arm64"), "linux/arm64"),
        (lambda config, manifest: config.update(variant="v8"), "linux/amd64/v8"),
        (lambda config, manifest: manifest["config"].update(digest=OTHER), "another config"),
        (lambda config, manifest: manifest["layers"].reverse(), "other layers"),
        (lambda config, manifest: manifest["layers"].pop(), "other layers"),
        (lambda config, manifest: manifest.pop("layers"), "other layers"),
        (lambda config, manifest: manifest.update(layers=[1, 2]), "other layers"),
        (lambda config, manifest: manifest["layers"][0].update(size=1), "other layers"),
        (lambda config, manifest: manifest["layers"][0].update(mediaType="x/y"), "other layers"),
    ],
)
def test_configs_and_manifests_that_say_something_else(
    content: bytes, change: Callable[[Document, Document], object], told: str
) -> None:
    with pytest.raises(BundleError, match=told):
        opened(forged(content, change))


@pytest.mark.parametrize("which", ["config", "manifest"])
def test_a_config_or_a_manifest_beyond_all_measure(content: bytes, which: str) -> None:
    """At 8 MiB one is read, above it is not, as the format's page says."""

    def of_size(size: int) -> bytes:
        def change(config: Document, manifest: Document) -> None:
            document = config if which == "config" else manifest
            document["x"] = ""
            document["x"] = "x" * (size - len(canonical_json(document)))

        return forged(content, change)

    assert opened(of_size(8 << 20)).manifest.name == "tiny"
    with pytest.raises(BundleError, match=r"blobs/sha256/[0-9a-f]{64} is larger than 8388608 bytes"):
        opened(of_size((8 << 20) + 1))


def test_a_head_that_is_not_the_tars(tmp_path: Path) -> None:
    """Its sums fit: whoever changed the head changed them too."""
    kit = make_tiny_kit(tmp_path)
    head = kit / "head" / BUNDLE_JSON
    old = Digest.of(head.read_bytes()).hex
    head.write_bytes(head.read_bytes().replace(b'"tiny"', b'"tidy"'))
    sums = kit / "SHA256SUMS"
    sums.write_text(sums.read_text().replace(old, Digest.of(head.read_bytes()).hex))
    with pytest.raises(BundleError, match="differs from the tar's"):
        open_bundle(kit, TrustPolicy())


def test_a_sum_in_members_that_is_not_the_blobs_name(content: bytes) -> None:
    """Refused by the opening, before a byte of the blob is read."""
    members = split(content)
    first, rest = members[-1][1].split(b"\n", 1)
    assert first[66:].startswith(b"blobs/")
    with pytest.raises(BundleError, match="another digest in MEMBERS"):
        opened(joined([*members[:-1], ("MEMBERS", b"0" * 64 + first[64:] + b"\n" + rest)]))


def test_a_payload_file_below_another_is_refused(content: bytes) -> None:
    def change(members: list[tuple[str, bytes]]) -> None:
        document = json.loads(dict(members)[BUNDLE_JSON])
        file = document["files"][0]
        document["files"].append({**file, "path": f"{file['path']}/below"})
        at = [name for name, _ in members].index(f"files/{file['path']}")
        members.insert(at + 1, (f"files/{file['path']}/below", members[at][1]))
        members[[name for name, _ in members].index(BUNDLE_JSON)] = (BUNDLE_JSON, canonical_json(document))

    members = list(split(content))
    change(members)
    with pytest.raises(BundleError, match="lies below"):
        opened(relisted(members))


def test_json_in_another_encoding_is_refused(content: bytes) -> None:
    members = dict(split(content))
    members[BUNDLE_JSON] = members[BUNDLE_JSON].decode().encode("utf-16")
    with pytest.raises(BundleError, match="not JSON"):
        opened(relisted(list(members.items())))
