"""Reading ``docker save``: both forms, compressed layers, and archives that contradict themselves."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from typing import Any

import pytest
import zstandard

from bundler.builder.engine_build.export import ExportedImage, read_save
from bundler.core.digest import Digest
from bundler.core.errors import EngineError
from tests.support.kept_layers import Kept, Store


def layer(name: str) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        archive.addfile(tarfile.TarInfo(name))
    return stream.getvalue()


LOW, HIGH = layer("low"), layer("high")
IDS = [str(Digest.of(LOW)), str(Digest.of(HIGH))]
CONFIG = json.dumps({"rootfs": {"type": "layers", "diff_ids": IDS}}).encode()


def pack(members: dict[str, bytes], links: dict[str, str] | None = None) -> io.BytesIO:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
            for link, target in (links or {}).items():
                if name != "manifest.json" and link not in archive.getnames():
                    entry = tarfile.TarInfo(link)
                    entry.type, entry.linkname = tarfile.SYMTYPE, target
                    archive.addfile(entry)
    stream.seek(0)
    return stream


def manifest(*entries: dict[str, Any]) -> bytes:
    return json.dumps(list(entries)).encode()


def blob(content: bytes) -> str:
    return f"blobs/sha256/{Digest.of(content).hex}"


def oci(*stored: bytes, config: bytes = CONFIG) -> dict[str, bytes]:
    entry = {"Config": blob(config), "RepoTags": ["a:1"], "Layers": [blob(each) for each in stored]}
    return {blob(each): each for each in (*stored, config)} | {"oci-layout": b"{}", "manifest.json": manifest(entry)}


def read(members: dict[str, bytes], store: Store, **more: Any) -> tuple[ExportedImage[Kept], ...]:
    return read_save(pack(members, more.get("links")), ("a:1",), more.get("wanted", frozenset()), store, "engine")


def archive(**changes: Any) -> dict[str, bytes]:
    """The form before 25."""
    entry = {"Config": "c.json", "RepoTags": ["a:1"], "Layers": ["1/layer.tar", "2/layer.tar"], **changes}
    return {"1/VERSION": b"1.0", "1/json": b"{}", "1/layer.tar": LOW, "2/layer.tar": HIGH, "c.json": CONFIG} | {
        "manifest.json": manifest(entry)
    }


def test_the_older_form() -> None:
    (image,) = read(archive(), Store())
    assert image.config == CONFIG
    assert [each.content for each in image.layers] == [LOW, HIGH]


def test_a_layer_that_occurs_twice_is_a_link() -> None:
    config = json.dumps({"rootfs": {"diff_ids": [IDS[0], IDS[0]]}}).encode()
    members = {"1/layer.tar": LOW, "c.json": config, "manifest.json": archive()["manifest.json"]}
    (image,) = read(members, Store(), links={"2/layer.tar": "../1/layer.tar"})
    assert [each.content for each in image.layers] == [LOW, LOW]


@pytest.mark.parametrize("pack_layer", [bytes, gzip.compress, zstandard.ZstdCompressor().compress])
def test_the_newer_form_with_layers_of_each_kind(pack_layer: Any) -> None:
    (image,) = read(oci(pack_layer(LOW), pack_layer(HIGH)), Store())
    assert [str(each.diff_id) for each in image.layers] == IDS


def test_what_no_image_names_is_left_out() -> None:
    attestation = b'{"_type": "https://in-toto.io/Statement/v0.1"}'
    (image,) = read({blob(attestation): attestation, **oci(LOW, HIGH)}, Store())
    assert len(image.layers) == 2


def test_layers_that_are_held_are_not_stored_again() -> None:
    store = Store()
    (first,) = read(oci(LOW, HIGH), store)
    assert read(oci(LOW, HIGH), store) == (first,)
    assert read(archive(), store, wanted={Digest.parse(each) for each in IDS})[0].layers == first.layers
    assert store.taken == 2


@pytest.mark.parametrize(
    ("members", "what"),
    [
        ({name: c for name, c in archive().items() if name != "manifest.json"}, "no manifest.json"),
        ({name: c for name, c in archive().items() if name != "2/layer.tar"}, "lacks the layer"),
        ({name: c for name, c in archive().items() if name != "c.json"}, "config of a:1 is missing"),
        (archive(Layers=["2/layer.tar", "1/layer.tar"]), "where the config names"),
        (archive(Layers=["1/layer.tar"]), "1 layers and 2 diff_ids"),
        (archive(RepoTags=["b:1"]), "lacks the image a:1"),
        ({**archive(), "c.json": b'{"rootfs": {"diff_ids": ["md5:1"]}}'}, "not as expected"),
        ({**archive(), "c.json": b"[]"}, "not as expected"),
        ({**archive(), "manifest.json": b"{"}, "not as expected"),
        ({**archive(), "manifest.json": b'{"a": 1}'}, "not as expected"),
    ],
)
def test_archives_that_contradict_themselves(members: dict[str, bytes], what: str) -> None:
    with pytest.raises(EngineError, match=what):
        read(members, Store())


def test_no_cut_off_archive_is_taken_for_a_whole_one() -> None:
    whole = pack(archive()).getvalue()
    end = len(whole.rstrip(b"\0"))
    for length in range(0, end, 97):
        with pytest.raises(EngineError):
            read_save(io.BytesIO(whole[:length]), ("a:1",), frozenset(), Store(), "engine")
