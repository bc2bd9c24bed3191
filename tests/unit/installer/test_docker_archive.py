"""The two forms of a nameless image: what stands in them, and that the layer is streamed and measured."""

from __future__ import annotations

import io
import json
import tarfile
from typing import BinaryIO, cast

import pytest

from bundler.core.docker_archive import docker_archive, oci_archive
from bundler.core.errors import BundleError
from bundler.core.readers import Reader
from tests.support.handmade import file_layer, make_image

LOWER, UPPER = file_layer("models/a", b"a" * 700), file_layer("app/b", b"b" * 900)
IMAGE = make_image("test.local/x:1", [LOWER, UPPER])


def members(archive: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:") as tar:
        return {entry.name: tar.extractfile(entry).read() for entry in tar}  # type: ignore[union-attr]


def test_a_graph_driver_gets_the_plain_topmost_layer_alone() -> None:
    found = members(b"".join(docker_archive(IMAGE, io.BytesIO(UPPER.plain))))
    (entry,) = json.loads(found["manifest.json"])
    assert entry["RepoTags"] is None
    assert found[entry["Config"]] == IMAGE.config
    assert len(entry["Layers"]) == 2
    assert entry["Layers"][0] not in found
    assert found[entry["Layers"][1]] == UPPER.plain


def test_a_containerd_store_gets_our_manifest_and_the_stored_layer_alone() -> None:
    found = members(b"".join(oci_archive(IMAGE, io.BytesIO(UPPER.stored))))
    (entry,) = json.loads(found["index.json"])["manifests"]
    assert entry["digest"] == str(IMAGE.manifest_digest)
    assert "annotations" not in entry
    assert found[f"blobs/sha256/{IMAGE.manifest_digest.hex}"] == IMAGE.manifest
    assert found[f"blobs/sha256/{IMAGE.image_id.hex}"] == IMAGE.config
    assert UPPER.stored in found.values()
    assert LOWER.stored not in found.values()
    assert json.loads(found["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}


def test_no_load_can_go_on_with_what_another_one_left() -> None:
    first, second = (members(b"".join(oci_archive(IMAGE, io.BytesIO(UPPER.stored)))) for _ in range(2))
    assert len(set(first) ^ set(second)) == 2


@pytest.mark.parametrize("form", [docker_archive, oci_archive])
def test_without_a_layer_there_is_only_what_is_small(form: object) -> None:
    found = members(b"".join(form(IMAGE, None)))  # type: ignore[operator]
    assert UPPER.plain not in found.values()
    assert UPPER.stored not in found.values()


@pytest.mark.parametrize("change", [-1, 1])
def test_a_layer_of_another_length_is_refused(change: int) -> None:
    content = UPPER.plain[:change] if change < 0 else UPPER.plain + b"x"
    with pytest.raises(BundleError, match="bytes long"):
        list(docker_archive(IMAGE, io.BytesIO(content)))


class Unreadable(Reader):
    """A medium that gives up."""

    def next_chunk(self) -> bytes:
        raise OSError(5, "Input/output error")


def test_a_medium_that_cannot_be_read_is_the_bundles_fault_not_the_engines() -> None:
    with pytest.raises(BundleError, match="Input/output error"):
        list(docker_archive(IMAGE, cast("BinaryIO", Unreadable())))
