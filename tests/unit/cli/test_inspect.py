"""What ``bundler inspect`` says of a bundle whose two images share two layers: sizes count once, sharing is named."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from bundler.cli.inspect import as_object, as_text
from bundler.core.bundle import VerifiedBundle, open_bundle
from bundler.core.kit import TrustPolicy
from tests.support.tiny_bundle import make_tiny_kit

BASE, APP = "example.org/tiny:base", "example.org/tiny:1.0.0"


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_kit(tmp_path_factory.mktemp("inspect"))


@pytest.fixture(scope="module")
def bundle(kit: Path) -> VerifiedBundle:
    return open_bundle(kit, TrustPolicy())


@pytest.fixture(scope="module")
def stated(kit: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((kit / "head" / "bundle.json").read_bytes())
    return document


def test_the_object_counts_each_layer_once_and_names_who_shares_it(
    bundle: VerifiedBundle, stated: dict[str, Any]
) -> None:
    found = json.loads(json.dumps(as_object(bundle)))
    base, app = stated["images"]
    model, os, own = app["layers"]
    assert base["layers"] == [model, os]
    assert found["raw_size"] == sum(layer["uncompressed_size"] for layer in (model, os, own))
    assert found["stored_size"] == sum(layer["size"] for layer in (model, os, own))
    assert [(layer["digest"], layer["kind"], layer["images"]) for layer in found["layers"]] == [
        (model["digest"], "model", [BASE, APP]),
        (os["digest"], "os", [BASE, APP]),
        (own["digest"], "app", [APP]),
    ]
    assert [image["layers"] for image in found["images"]] == [
        [layer["digest"] for layer in image["layers"]] for image in (base, app)
    ]
    (listed,) = found["models"]
    assert listed["size"] == sum(file["size"] for file in stated["models"][0]["files"])
    assert listed["files"] == stated["models"][0]["files"]
    assert [image["manifest"] for image in found["images"]] == ["ours", "ours"]


def test_the_text_says_the_same(bundle: VerifiedBundle, stated: dict[str, Any]) -> None:
    lines = [line.split() for line in as_text(bundle).splitlines()]
    (base,) = (line for line in lines if line[:2] == [BASE, "base"])
    assert base[4:6] == ["2", stated["images"][0]["image_id"][7:19]]
    for layer, users in zip(stated["images"][1]["layers"], ([f"{BASE},", APP], [f"{BASE},", APP], [APP]), strict=True):
        (line,) = (line for line in lines if line[:1] == [layer["digest"][7:19]])
        assert line[-len(users) :] == users
        assert line[1] == layer["kind"]


@pytest.mark.parametrize(
    ("manifest", "told"), [("ours", "bundler's"), ("source", "its source's"), (None, "-")], ids=str
)
def test_whose_manifest_it_is(bundle: VerifiedBundle, manifest: str | None, told: str) -> None:
    images = tuple(dataclasses.replace(image, manifest=manifest) for image in bundle.manifest.images)
    other = dataclasses.replace(bundle, manifest=dataclasses.replace(bundle.manifest, images=images))
    assert {image["manifest"] for image in as_object(other)["images"]} == {manifest}
    assert sum(f"  {told}  " in line for line in as_text(other).splitlines()) == len(images)
