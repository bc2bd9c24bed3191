"""Images as values; bytes are hashed as they stand."""

from __future__ import annotations

import json

import pytest

from bundler.core.digest import Digest
from bundler.core.errors import BundleError
from bundler.core.oci import (
    LAYER_ZSTD,
    Descriptor,
    Image,
    Layer,
    canonical_json,
    chain_ids,
    parse_object,
    render_config,
    render_manifest,
    render_plain_manifest,
)
from bundler.core.reference import Reference


def layer(name: str) -> Layer:
    return Layer(Digest.of(name.encode()), 2048, Descriptor.of(LAYER_ZSTD, b"z" + name.encode()), "os")


def image(*names: str) -> Image:
    layers = tuple(layer(name) for name in names)
    config = render_config({"os": "linux", "architecture": "arm64", "variant": "v8", "config": {"Cmd": ["x"]}}, layers)
    return Image(Reference.parse("a/b:1"), config, render_manifest(config, layers), layers)


def test_chain_ids_follow_the_specification() -> None:
    """The worked example of image-spec config.md: ChainID(A, B) = digest of "A B" as strings."""
    a, b, c = (Digest.of(name) for name in (b"A", b"B", b"C"))
    ab = Digest.of(f"{a} {b}".encode())
    assert chain_ids([a, b, c]) == (a, ab, Digest.of(f"{ab} {c}".encode()))
    assert chain_ids([]) == ()


def test_ids_are_of_the_bytes() -> None:
    made = image("a", "b")
    assert made.image_id == Digest.of(made.config)
    assert made.manifest_digest == Digest.of(made.manifest)
    assert made.platform == "linux/arm64/v8"


def test_a_prefix_is_an_image_of_its_own_that_nobody_can_run() -> None:
    whole = image("a", "b", "c")
    assert whole.prefix(3) is whole
    two = whole.prefix(2)
    assert two.chain_ids == whole.chain_ids[:2]
    assert json.loads(two.config)["config"] == {}
    assert two.platform == whole.platform
    assert [item["digest"] for item in json.loads(two.manifest)["layers"]] == [
        str(each.blob.digest) for each in whole.layers[:2]
    ]


def test_the_plain_manifest_names_layers_by_their_diff_ids() -> None:
    made = image("a")
    (entry,) = json.loads(render_plain_manifest(made.config, made.layers))["layers"]
    assert (entry["digest"], entry["size"]) == (str(made.layers[0].diff_id), 2048)
    assert entry["mediaType"].endswith(".tar")


def test_canonical_json_is_sorted_and_unescaped() -> None:
    assert canonical_json({"b": [1, None], "a": "ü"}) == '{"a":"ü","b":[1,null]}'.encode()


@pytest.mark.parametrize("content", [b"", b"[]", b"1", b"{", b"\xff", b'{"a":' * 100_000, b"1" * 5000])
def test_what_is_no_json_object_is_refused(content: bytes) -> None:
    with pytest.raises(BundleError):
        parse_object(content, "x")
