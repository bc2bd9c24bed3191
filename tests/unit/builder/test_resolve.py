"""From a recipe to its lock: what is there is used, what is missing is read from its source, nothing else is written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bundler.builder.agreement import AskedImage
from bundler.builder.hub.fetch import Snapshot
from bundler.builder.hub.store import ModelStore
from bundler.builder.lock import LOCK_FILE, Lock, LockedImage, LockedModel, write_lock
from bundler.builder.lock_changes import changes
from bundler.builder.recipe import BuildSpec, Recipe
from bundler.builder.recipe_file import load_recipe
from bundler.builder.recipe_models import ModelSpec
from bundler.builder.resolve import Upgrade, keep_lock, locked, relock, resolve, with_arguments, with_digests
from bundler.core.digest import Digest
from bundler.core.errors import EngineError, RecipeError, UsageError
from bundler.core.progress import SilentProgress
from tests.support.locked import COMMIT, locked_file, locked_model

LATER = "c3" * 20
RECIPE = """\
format: 1
name: quick
version: "1"
platform: linux/amd64
models:
  - { name: one, repo: owner/one, path: /m/one }
  - { name: two, repo: owner/two, path: /m/two, revision: v2 }
base: { dockerfile: Dockerfile.base, tag: "quick:base", args: { A: recipe } }
apps: [ { dockerfile: Dockerfile, tag: "quick:1" } ]
"""


class Shelf:
    """Models in memory; the commit is what ``commit`` says now."""

    def __init__(self, commit: str = COMMIT) -> None:
        self.commit = commit
        self.asked: list[str] = []

    def resolve(self, spec: ModelSpec) -> LockedModel:
        self.asked.append(spec.name)
        files = (locked_file(), locked_file(f"of-{self.commit[:2]}.json"))
        return locked_model(
            spec.name,
            revision=spec.revision,
            include=spec.include,
            exclude=spec.exclude,
            commit=self.commit,
            files=files,
        )


class Gallery:
    """An engine that has every image, or none."""

    def __init__(self, *, empty: bool = False) -> None:
        self.empty = empty
        self.asked: list[str] = []

    def resolve_image(self, asked: AskedImage) -> LockedImage:
        self.asked.append(asked.asked)
        if self.empty:
            raise EngineError("not to be had", where=asked.where, remedy="load it")
        return LockedImage(role=asked.role, asked=asked.asked, kind="image-id", value=Digest.of(asked.asked.encode()))


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    (tmp_path / "Dockerfile.base").write_text("ARG A\nFROM os:$A\n")
    (tmp_path / "Dockerfile").write_text("FROM quick:base\n")
    return load_recipe(tmp_path)


def resolved(recipe: Recipe, shelf: Shelf, gallery: Gallery | None) -> Lock:
    return keep_lock(recipe, resolve(recipe, shelf, gallery, SilentProgress()))


def relocked(recipe: Recipe, shelf: Shelf, gallery: Gallery, *names: str, everything: bool = False) -> tuple[str, ...]:
    upgrade = Upgrade(None if everything else frozenset(names))
    before, after = relock(recipe, upgrade, shelf, gallery, SilentProgress())
    keep_lock(recipe, after)
    return changes(before, after)


def test_a_lock_is_made_where_there_is_none_and_used_where_there_is_one(recipe: Recipe) -> None:
    shelf, gallery = Shelf(), Gallery()
    made = resolved(recipe, shelf, gallery)
    assert shelf.asked == ["one", "two"]
    assert gallery.asked == ["os:recipe"]
    written = (recipe.directory / LOCK_FILE).read_bytes()
    assert json.loads(written)["models"][1]["commit"] == COMMIT
    again = resolved(recipe, shelf, gallery)
    assert again == made
    assert (shelf.asked, gallery.asked) == (["one", "two"], ["os:recipe"])
    assert (recipe.directory / LOCK_FILE).read_bytes() == written


def test_what_a_lock_lacks_is_added_and_the_rest_stays(recipe: Recipe) -> None:
    made = resolved(recipe, Shelf(), Gallery())
    write_lock(recipe.directory / LOCK_FILE, made.model_copy(update={"models": made.models[1:], "images": ()}))
    shelf, gallery = Shelf(commit=LATER), Gallery()
    filled = resolved(recipe, shelf, gallery)
    assert (shelf.asked, gallery.asked) == (["one"], ["os:recipe"])
    assert [model.commit for model in filled.models] == [LATER, COMMIT]
    assert [model.name for model in filled.models] == ["one", "two"]


def test_models_alone_leave_the_images_open_until_somebody_asks_for_them(recipe: Recipe) -> None:
    shelf = Shelf()
    assert resolved(recipe, shelf, None).images is None
    with pytest.raises(RecipeError, match="lacks"):
        locked(recipe)
    assert [image.asked for image in resolved(recipe, shelf, Gallery()).images or ()] == ["os:recipe"]
    assert shelf.asked == ["one", "two"]
    assert locked(recipe).images is not None


def test_of_models_alone_the_lock_may_be_of_a_build_from_other_images(recipe: Recipe) -> None:
    made = resolved(recipe, Shelf(), Gallery())
    assert made.images
    elsewhere = tuple(image.model_copy(update={"asked": "os:elsewhere"}) for image in made.images)
    write_lock(recipe.directory / LOCK_FILE, made.model_copy(update={"images": elsewhere}))
    with pytest.raises(RecipeError, match="disagrees"):
        locked(recipe)
    assert locked(recipe, of_images=False).models == made.models
    write_lock(recipe.directory / LOCK_FILE, made.model_copy(update={"models": made.models[1:], "images": elsewhere}))
    with pytest.raises(RecipeError, match="lacks"):
        locked(recipe, of_images=False)


def test_an_image_that_cannot_be_had_leaves_no_lock(recipe: Recipe) -> None:
    with pytest.raises(EngineError):
        resolved(recipe, Shelf(), Gallery(empty=True))
    assert not (recipe.directory / LOCK_FILE).exists()


def test_nothing_but_the_lock_is_used_where_that_was_asked_for(recipe: Recipe) -> None:
    with pytest.raises(RecipeError, match="there is no lock") as caught:
        locked(recipe)
    assert "bundler lock" in caught.value.remedy
    made = resolved(recipe, Shelf(), Gallery())
    assert locked(recipe) == made


def test_arguments_of_the_command_line_decide_about_images(recipe: Recipe) -> None:
    assert with_arguments(recipe, {}) is recipe
    changed = with_arguments(recipe, {"A": "given", "B": "2"})
    assert isinstance(changed.base, BuildSpec)
    assert changed.base.args == {"A": "given", "B": "2"}
    assert changed.apps[0].args == {"A": "given", "B": "2"}
    gallery = Gallery()
    resolved(changed, Shelf(), gallery)
    assert gallery.asked == ["os:given"]
    with pytest.raises(RecipeError, match="disagree"):
        resolved(recipe, Shelf(), gallery)


# -- moving on


def test_relocking_takes_what_the_recipe_says_now_and_keeps_what_agrees(recipe: Recipe) -> None:
    resolved(recipe, Shelf(), Gallery())
    (recipe.directory / "recipe.yaml").write_text(RECIPE.replace("revision: v2", "revision: v3"))
    now = load_recipe(recipe.directory)
    with pytest.raises(RecipeError, match="disagrees"):
        resolved(now, Shelf(), Gallery())
    shelf, gallery = Shelf(commit=LATER), Gallery()
    assert relocked(now, shelf, gallery) == (
        "two: revision v2 -> v3",
        f"two: commit {COMMIT} -> {LATER}",
        "two:   - of-a1.json, 3 bytes",
        "two:   + of-c3.json, 3 bytes",
    )
    assert (shelf.asked, gallery.asked) == (["two"], [])
    assert relocked(now, shelf, gallery) == ()


def test_an_upgrade_moves_one_model_or_everything(recipe: Recipe) -> None:
    resolved(recipe, Shelf(), Gallery())
    shelf, gallery = Shelf(commit=LATER), Gallery()
    assert relocked(recipe, shelf, gallery) == ()
    assert relocked(recipe, shelf, gallery, "one")[0] == f"one: commit {COMMIT} -> {LATER}"
    assert (shelf.asked, gallery.asked) == (["one"], [])
    assert relocked(recipe, shelf, gallery, everything=True)[0] == f"two: commit {COMMIT} -> {LATER}"
    assert (shelf.asked, gallery.asked) == (["one", "one", "two"], ["os:recipe"])


def test_a_model_that_is_gone_is_dropped_and_one_that_is_unknown_is_refused(recipe: Recipe) -> None:
    resolved(recipe, Shelf(), Gallery())
    (recipe.directory / "recipe.yaml").write_text(
        RECIPE.replace("  - { name: one, repo: owner/one, path: /m/one }\n", "")
    )
    now = load_recipe(recipe.directory)
    assert relocked(now, Shelf(), Gallery()) == (f"one: gone, was owner/one@{COMMIT}",)
    with pytest.raises(UsageError, match="no model 'one'") as caught:
        relocked(now, Shelf(), Gallery(), "one")
    assert "two" in caught.value.remedy


def test_digests_are_recorded_once_they_are_known(recipe: Recipe) -> None:
    lock = resolved(recipe, Shelf(), Gallery())
    path, store = recipe.directory / LOCK_FILE, ModelStore(recipe.directory)
    before = path.stat().st_mtime_ns
    assert keep_lock(recipe, with_digests(lock, [Snapshot(model, store) for model in lock.models])) == lock
    assert path.stat().st_mtime_ns == before
    known = [
        model.model_copy(update={"files": tuple(file.model_copy(update={"sha256": "c" * 64}) for file in model.files)})
        for model in lock.models
    ]
    complete = keep_lock(recipe, with_digests(lock, [Snapshot(model, store) for model in known]))
    assert {file.sha256 for model in complete.models for file in model.files} == {"c" * 64}
    assert locked(recipe) == complete
    assert changes(lock, complete) == ()
