"""What a bundle says of itself: times, checks, images."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path, PurePosixPath

import pytest

from bundler.builder.describe import FinishedImage, created_time, describe_bundle, describe_model
from bundler.builder.describe_checks import describe_checks
from bundler.builder.model_tree import ModelTree, TreeFile
from bundler.builder.recipe_file import load_recipe
from bundler.builder.recipe_models import ModelSpec
from bundler.core.bundle_manifest import PayloadFile, parse_bundle_manifest, render_bundle_manifest
from bundler.core.checks import Peer, Question, ServeCheck
from bundler.core.digest import Digest
from bundler.core.errors import UsageError
from bundler.core.oci import render_plain_manifest
from tests.support.handmade import file_layer, make_image
from tests.support.locked import license_of, locked_model

RECIPE = """\
format: 1
name: small
version: 1.2.3
platform: linux/amd64
models: [ { name: tiny, repo: acme/tiny, path: /m/tiny } ]
base: { dockerfile: Dockerfile.base, tag: "small:base" }
apps: [ { dockerfile: Dockerfile, tag: "small:1" }, { dockerfile: Dockerfile, tag: "small:2" } ]
checks:
  - { name: plain, run: [cat, /x], within: 1m30s }
  - { name: full, run: "a | b", image: "small:2", within: 5s, expect: [one, two], forbid: bad, user: "7", env: { K: v } }
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    (tmp_path / "Dockerfile.base").write_text("FROM os:1\n")
    (tmp_path / "Dockerfile").write_text("FROM small:base\n")
    return tmp_path


def test_the_time_is_now_or_what_reproducible_builds_say() -> None:
    assert created_time({"SOURCE_DATE_EPOCH": "0"}) == "1970-01-01T00:00:00Z"
    assert created_time({"SOURCE_DATE_EPOCH": "1700000000"}) == "2023-11-14T22:13:20Z"
    for environment in ({}, {"SOURCE_DATE_EPOCH": ""}):
        before = datetime.now(timezone.utc).replace(microsecond=0)
        stated = datetime.strptime(created_time(environment), "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)
        assert before <= stated <= datetime.now(timezone.utc)


@pytest.mark.parametrize("value", ["yesterday", "1.5", "9" * 30, "1e9"])
def test_a_time_that_is_none(value: str) -> None:
    with pytest.raises(UsageError, match="SOURCE_DATE_EPOCH is") as caught:
        created_time({"SOURCE_DATE_EPOCH": value})
    assert caught.value.exit_code == 2


def test_a_check_runs_in_the_first_application_unless_it_says_another(directory: Path) -> None:
    plain, full = describe_checks(load_recipe(directory))
    assert (plain.image.familiar, plain.run, plain.within_s) == ("small:1", ("cat", "/x"), 90.0)
    assert (plain.expect, plain.forbid, plain.user, plain.env) == ((), (), None, {})
    assert (full.image.familiar, full.expect, full.forbid) == ("small:2", ("one", "two"), ("bad",))
    assert (full.user, full.env) == ("7", {"K": "v"})


SERVES = """\
  - { name: opens, serve: 80 }
  - { name: path, serve: 8080, ask: /health, watch: 30s, gpu: true, allow: ["Database:5432"] }
  - name: body
    serve: 8080
    run: [serve]
    ask: { path: /v1, headers: { X: y }, body: "{}" }
    status: 201
    expect: a
"""


def test_services_are_described(directory: Path) -> None:
    (directory / "recipe.yaml").write_text(RECIPE + SERVES)
    opens, path, body = describe_checks(load_recipe(directory))[2:]
    assert isinstance(opens, ServeCheck) and isinstance(path, ServeCheck) and isinstance(body, ServeCheck)
    assert (opens.port, opens.run, opens.question, opens.watch_s, opens.within_s) == (80, (), None, 0.0, 60.0)
    assert path.question == Question("GET", "/health", {}, None)
    assert (path.status, path.watch_s, path.needs_gpu, path.allow) == (200, 30.0, True, (Peer("database", 5432),))
    assert body.question == Question("POST", "/v1", {"X": "y"}, "{}")
    assert (body.run, body.status, body.expect) == (("serve",), 201, ("a",))


def test_without_an_application_a_check_runs_in_the_base(directory: Path) -> None:
    recipe = load_recipe(directory)
    alone = recipe.model_copy(update={"apps": (), "checks": recipe.checks[:1]})
    assert describe_checks(alone)[0].image.familiar == "small:base"


def test_a_bundle_is_described_from_its_parts_and_read_back_equal(directory: Path) -> None:
    recipe = load_recipe(directory)
    file = TreeFile("config.json", 3, Digest.of(b"{}\n"), b"{}\n")
    tree = ModelTree("tiny", PurePosixPath("/m/tiny"), 0, 0, (file,))
    locked = locked_model("tiny", license=license_of("mit"))
    spec = ModelSpec.model_validate({"name": "tiny", "repo": "acme/tiny", "path": "/m/tiny"})
    model = describe_model(spec, locked, tree)
    assert (model.commit, model.path, model.license) == ("a1" * 20, "/m/tiny", "mit")
    assert describe_model(spec, locked_model("tiny", commit=None), tree).told == "owner/tiny"
    named = locked_model("tiny", license=license_of("other", name="acme-terms"))
    assert describe_model(spec, named, tree).license == "acme-terms"
    images = [make_image(f"small:{tag}", [file_layer("etc/os", b"os")]) for tag in ("base", "1", "2")]
    finished = [FinishedImage(image, "app", ()) for image in images]
    payload = [PayloadFile("compose.yaml", 4, Digest.of(b"a: 1"))]
    manifest = describe_bundle(recipe, [model], finished, payload, "2023-11-14T22:13:20Z")
    assert manifest.title == "small-1.2.3-linux-amd64"
    assert set(manifest.tools) == {"bundler", "zstandard", "zstd"}
    for described, image in zip(manifest.images, images, strict=True):
        assert (described.image_id, described.manifest_digest) == (image.image_id, image.manifest_digest)
        assert described.plain_manifest_digest == Digest.of(render_plain_manifest(image.config, image.layers))
    assert manifest.models == (model,)
    assert manifest.files == tuple(payload)
    assert parse_bundle_manifest(render_bundle_manifest(manifest), "bundle.json") == manifest
