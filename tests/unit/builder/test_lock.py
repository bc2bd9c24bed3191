"""The lock: what it cannot hold, how it is written, and where it disagrees with a recipe."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from bundler.builder.agreement import asked_images, disagreements, missing_in, require_agreement, require_complete
from bundler.builder.lock import LOCK_FILE, Lock, LockedFile, LockedImage, LockedModel, read_lock, write_lock
from bundler.builder.recipe import Recipe
from bundler.builder.recipe_file import load_recipe
from bundler.core.digest import Digest
from bundler.core.errors import RecipeError
from tests.support.locked import COMMIT
from tests.support.locked import locked_file as file
from tests.support.locked import locked_model as model

RECIPE = """\
format: 1
name: quick
version: "1"
platform: linux/amd64
models:
  - { name: one, repo: owner/one, path: /m/one, include: ["*.json"] }
  - { name: two, repo: owner/two, path: /m/two, revision: v2 }
base: { dockerfile: Dockerfile.base, tag: "quick:base" }
apps: [ { dockerfile: Dockerfile, tag: "quick:1" } ]
images: [ { image: "postgres:17", from: registry } ]
"""


def image(role: str, asked: str) -> LockedImage:
    return LockedImage(role=role, asked=asked, kind="registry-digest", value=Digest.of(asked.encode()))


def lock(**changes: Any) -> Lock:
    values: dict[str, Any] = {
        "format": 1,
        "platform": "linux/amd64",
        "models": (model("one", include=("*.json",)), model("two", revision="v2")),
        "images": (image("from", "busybox:1"), image("from", "tools:2"), image("image", "postgres:17")),
    }
    return Lock(**{**values, **changes})


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    (tmp_path / "Dockerfile.base").write_text("ARG V=1\nFROM busybox:$V\n")
    (tmp_path / "Dockerfile").write_text("FROM quick:base\nCOPY --from=tools:2 /t /t\nCOPY --from=quick:base /x /x\n")
    return load_recipe(tmp_path)


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / LOCK_FILE
    write_lock(path, lock())
    assert read_lock(path) == lock()
    text = path.read_text()
    assert text.endswith("}\n") and text == json.dumps(json.loads(text), indent=2, sort_keys=True) + "\n"
    assert [each.name for each in tmp_path.iterdir()] == [LOCK_FILE]


def test_no_lock_is_none(tmp_path: Path) -> None:
    assert read_lock(tmp_path / LOCK_FILE) is None


@pytest.mark.parametrize("key", ["path", "size", "sha256", "git_sha1"])
def test_no_value_of_a_file_has_a_default(key: str) -> None:
    values = {"path": "a", "size": 1, "sha256": "c" * 64, "git_sha1": None}
    del values[key]
    with pytest.raises(ValidationError, match="Field required"):
        LockedFile(**values)


@pytest.mark.parametrize("kind", [LockedModel, LockedImage, Lock])
def test_nothing_in_a_lock_has_a_default(kind: type[LockedModel | LockedImage | Lock]) -> None:
    assert [name for name, field in kind.model_fields.items() if not field.is_required()] == []


@pytest.mark.parametrize(
    "changes",
    [
        {"size": -1},
        {"size": "3"},
        {"git_sha1": None},
        {"git_sha1": "main"},
        {"sha256": "C" * 64},
        {"sha256": "c" * 63},
        {"path": "/a"},
        {"path": "../a"},
        {"path": "a/../b"},
        {"path": "a//b"},
        {"path": ""},
    ],
)
def test_values_that_a_file_cannot_have(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        file(**changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"commit": "main"},
        {"commit": ""},
        {"commit": COMMIT.upper()},
        {"files": (file("b"), file("a"))},
        {"files": (file(), file())},
    ],
)
def test_values_that_a_model_cannot_have(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        model("one", **changes)


def test_an_image_needs_a_digest() -> None:
    with pytest.raises(ValidationError):
        LockedImage(role="from", asked="x", kind="image-id", value="latest")


def broken(tmp_path: Path, old: str, new: str) -> RecipeError:
    path = tmp_path / LOCK_FILE
    write_lock(path, lock())
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(RecipeError) as caught:
        read_lock(path)
    assert caught.value.exit_code == 3
    return caught.value


@pytest.mark.parametrize(
    ("old", "new", "marker", "what"),
    [
        ('"size": 3', '"size": "3"', '"size": "3"', "models.0.files.0.size"),
        (COMMIT, "main", '"main"', "models.0.commit"),
        ('"revision": "main"', '"revison": "main"', "revison", "models.0.revison"),
        ('"platform": "linux/amd64"', '"platform": "linux/amd64",', "}", "not JSON"),
        ('"size": 3', '"size": 3, "size": 4', '"size": 4', "twice"),
    ],
)
def test_malformed_locks_name_the_line(tmp_path: Path, old: str, new: str, marker: str, what: str) -> None:
    problem = next(each for each in broken(tmp_path, old, new).problems if what in each.what)
    lines = (tmp_path / LOCK_FILE).read_text().splitlines()
    assert marker in lines[int(problem.where.rpartition(":")[2]) - 1]


def test_all_problems_of_a_lock_at_once(tmp_path: Path) -> None:
    text = lock().model_dump_json().replace('"size":3', '"size":-3').replace(COMMIT, "x")
    (tmp_path / LOCK_FILE).write_text(text)
    with pytest.raises(RecipeError) as caught:
        read_lock(tmp_path / LOCK_FILE)
    assert len(caught.value.problems) == 4


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"[]", b"null", b"\xff\xfe", b"{", b'{\n\t"format": 1\n}'),
        *(b"[" * 100_000, b"[" * 700 + b"]" * 700, b'{"format":' + b"1" * 5000 + b"}"),
    ],
    ids=lambda content: content[:12].decode("latin-1"),
)
def test_what_is_no_lock_at_all(tmp_path: Path, content: bytes) -> None:
    (tmp_path / LOCK_FILE).write_bytes(content)
    with pytest.raises(RecipeError, match="malformed") as caught:
        read_lock(tmp_path / LOCK_FILE)
    assert caught.value.problems


def test_a_newer_lock_is_said_to_be_newer(tmp_path: Path) -> None:
    assert "newer bundler" in broken(tmp_path, '"format": 1', '"format": 2').what


def test_a_lock_that_cannot_be_read_or_written(tmp_path: Path) -> None:
    (tmp_path / LOCK_FILE).mkdir()
    with pytest.raises(RecipeError, match="cannot be read"):
        read_lock(tmp_path / LOCK_FILE)
    with pytest.raises(RecipeError, match="cannot be written"):
        write_lock(tmp_path / LOCK_FILE, lock())
    assert [each.name for each in tmp_path.iterdir()] == [LOCK_FILE]


def test_a_failed_write_keeps_the_former_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / LOCK_FILE
    write_lock(path, lock())
    before = path.read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RecipeError, match="No space left"):
        write_lock(path, lock(images=()))
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == [LOCK_FILE]


def test_outside_images_are_asked_once_with_their_lines(recipe: Recipe) -> None:
    assert [(each.role, each.asked, each.where) for each in asked_images(recipe)] == [
        ("from", "busybox:1", "Dockerfile.base:2"),
        ("from", "tools:2", "Dockerfile:2"),
        ("image", "postgres:17", "recipe.yaml:10"),
    ]


def test_a_lock_that_agrees(recipe: Recipe) -> None:
    assert disagreements(recipe, lock()) == []
    require_agreement(recipe, lock())


@pytest.mark.parametrize(
    ("changes", "where", "what"),
    [
        ({"platform": "linux/arm64"}, "recipe.yaml:4", "its lock for linux/arm64"),
        ({"models": (model("one"), model("two", revision="v2"))}, "recipe.yaml:6", "include"),
        ({"models": (model("one", include=("*.json",)), model("two"))}, "recipe.yaml:7", "revision v2"),
        (
            {"models": (model("one", include=("*.json",), repo_id="x/y"), model("two", revision="v2"))},
            "recipe.yaml:6",
            "repo owner/one",
        ),
        (
            {"models": (model("one", include=("*.json",), exclude=("a",)), model("two", revision="v2"))},
            "recipe.yaml:6",
            "exclude",
        ),
        ({"models": (*lock().models, model("three"))}, "recipe.lock", "'three' is not in the recipe"),
        ({"models": tuple(reversed(lock().models))}, "recipe.yaml:5", "order"),
        ({"images": (*lock().images, image("from", "old:1"))}, "recipe.lock", "old:1 is not in the recipe"),
    ],
)
def test_each_disagreement(recipe: Recipe, changes: dict[str, Any], where: str, what: str) -> None:
    found = disagreements(recipe, lock(**changes))
    assert [each.where for each in found] == [where]
    assert what in found[0].what
    assert found[0].remedy


def test_disagreement_is_an_error_that_says_how_to_go_on(recipe: Recipe) -> None:
    with pytest.raises(RecipeError) as caught:
        require_agreement(recipe, lock(platform="linux/arm64", images=()))
    assert [each.where for each in caught.value.problems] == ["recipe.yaml:4"]
    assert f"bundler lock {recipe.directory}" in caught.value.remedy


def test_what_a_lock_lacks_is_no_disagreement_and_is_named(recipe: Recipe) -> None:
    lacking = lock(models=(model("one", include=("*.json",)),), images=lock().images[1:2])
    require_agreement(recipe, lacking)
    missing = missing_in(recipe, lacking)
    assert [spec.name for spec in missing.models] == ["two"]
    assert [each.asked for each in missing.images] == ["busybox:1", "postgres:17"]
    with pytest.raises(RecipeError, match="lacks") as caught:
        require_complete(recipe, lacking)
    assert [each.where for each in caught.value.problems] == ["recipe.yaml:7", "Dockerfile.base:2", "recipe.yaml:10"]


def test_images_that_were_left_open_are_missing(recipe: Recipe) -> None:
    left_open = lock(images=None)
    require_agreement(recipe, left_open)
    assert len(missing_in(recipe, left_open).images) == 3
    require_complete(recipe, lock())


def test_an_entry_twice_is_refused() -> None:
    with pytest.raises(ValidationError, match="twice"):
        lock(models=(model("one"), model("one")))
