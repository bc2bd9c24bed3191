"""From a recipe to its lock: what is there is used, what is missing is read from its source, nothing else is written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bundler.builder.agreement import AskedImage
from bundler.builder.hub.retry import RetryPolicy, TransientError
from bundler.builder.hub.snapshot import Snapshot
from bundler.builder.hub.source import Address
from bundler.builder.lock import LOCK_FILE, LockedFile, LockedImage, LockedModel, read_lock
from bundler.builder.recipe import BuildSpec, ModelSpec, Recipe
from bundler.builder.recipe_file import load_recipe
from bundler.builder.resolve import PatientSource, record_digests, resolve, with_arguments
from bundler.core.digest import Digest
from bundler.core.errors import DownloadError, EngineError, RecipeError
from bundler.core.progress import SilentProgress

COMMIT = "a1" * 20
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
    """A source in memory whose branches all stand at ``commit``; the first ``busy`` questions are not answered."""

    name = "a shelf"

    def __init__(self, busy: int = 0, commit: str = COMMIT) -> None:
        self.busy = busy
        self.commit = commit
        self.asked: list[str] = []

    def resolve(self, wanted: ModelSpec) -> LockedModel:
        self.asked.append(wanted.name)
        if len(self.asked) <= self.busy:
            raise TransientError("HTTP 503", retry_after_s=7)
        return LockedModel(
            name=wanted.name,
            repo_id=wanted.repo,
            canonical_id=wanted.repo,
            revision=wanted.revision,
            commit=self.commit,
            include=wanted.include,
            exclude=wanted.exclude,
            license=None,
            files=(LockedFile(path="config.json", size=3, sha256=None, git_sha1="b" * 40),),
        )

    def address(self, model: LockedModel, file: LockedFile) -> Address:
        raise AssertionError("nothing is fetched to resolve")

    def read(self, model: LockedModel, file: LockedFile, sink: object) -> None:
        raise AssertionError("nothing is fetched to resolve")


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


class Listener(SilentProgress):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


class Waiting:
    def __init__(self) -> None:
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    (tmp_path / "Dockerfile.base").write_text("ARG A\nFROM os:$A\n")
    (tmp_path / "Dockerfile").write_text("FROM quick:base\n")
    return load_recipe(tmp_path)


def patient(shelf: Shelf, clock: Waiting | None = None) -> PatientSource:
    policy = RetryPolicy(attempts=3, first_delay_s=1, jitter=0)
    return PatientSource(shelf, policy, SilentProgress(), clock or Waiting())


def test_a_lock_is_made_where_there_is_none_and_used_where_there_is_one(recipe: Recipe) -> None:
    shelf, gallery = Shelf(), Gallery()
    made = resolve(recipe, patient(shelf), gallery, SilentProgress())
    assert shelf.asked == ["one", "two"]
    assert gallery.asked == ["os:recipe"]
    written = (recipe.directory / LOCK_FILE).read_bytes()
    assert json.loads(written)["models"][1]["commit"] == COMMIT
    again = resolve(recipe, patient(shelf), gallery, SilentProgress())
    assert again == made
    assert (shelf.asked, gallery.asked) == (["one", "two"], ["os:recipe"])
    assert (recipe.directory / LOCK_FILE).read_bytes() == written


def test_a_busy_source_is_asked_again(recipe: Recipe) -> None:
    shelf, clock = Shelf(busy=2), Waiting()
    resolve(recipe, patient(shelf, clock), Gallery(), SilentProgress())
    assert shelf.asked == ["one", "one", "one", "two"]
    assert clock.slept == [7, 7]


def test_no_answer_is_an_error_that_names_model_and_tries_and_writes_nothing(recipe: Recipe) -> None:
    with pytest.raises(DownloadError, match=r"model one: no answer .* in 3 attempts \(HTTP 503\)") as caught:
        resolve(recipe, patient(Shelf(busy=99)), Gallery(), SilentProgress())
    assert caught.value.where == "owner/one@main at a shelf"
    assert not (recipe.directory / LOCK_FILE).exists()


def test_an_image_that_cannot_be_had_leaves_no_lock(recipe: Recipe) -> None:
    with pytest.raises(EngineError):
        resolve(recipe, patient(Shelf()), Gallery(empty=True), SilentProgress())
    assert not (recipe.directory / LOCK_FILE).exists()


def test_arguments_of_the_command_line_decide_about_images(recipe: Recipe) -> None:
    assert with_arguments(recipe, {}) is recipe
    changed = with_arguments(recipe, {"A": "given", "B": "2"})
    assert isinstance(changed.base, BuildSpec)
    assert changed.base.args == {"A": "given", "B": "2"}
    assert changed.apps[0].args == {"A": "given", "B": "2"}
    gallery = Gallery()
    resolve(changed, patient(Shelf()), gallery, SilentProgress())
    assert gallery.asked == ["os:given"]
    with pytest.raises(RecipeError, match="disagree"):
        resolve(recipe, patient(Shelf()), gallery, SilentProgress())


def without(recipe: Recipe, section: str, place: int) -> None:
    """Do what the error says: remove one entry of the lock."""
    path = recipe.directory / LOCK_FILE
    document = json.loads(path.read_bytes())
    del document[section][place]
    path.write_text(json.dumps(document))


def test_a_removed_entry_is_taken_anew_and_the_others_stay_although_all_branches_moved(recipe: Recipe) -> None:
    made = resolve(recipe, patient(Shelf()), Gallery(), SilentProgress())
    recipe.file.write_text(RECIPE.replace("revision: v2", "revision: v3"))
    changed = load_recipe(recipe.directory)
    moved = Shelf(commit="b2" * 20)
    with pytest.raises(RecipeError) as caught:
        resolve(changed, patient(moved), Gallery(), SilentProgress())
    assert "remove the entry from recipe.lock" in caught.value.problems[0].remedy
    assert moved.asked == []
    without(recipe, "models", 1)
    gallery, told = Gallery(), Listener()
    lock = resolve(changed, patient(moved), gallery, told)
    assert (moved.asked, gallery.asked) == (["two"], [])
    assert (lock.models[0], lock.images) == (made.models[0], made.images)
    assert (lock.models[1].revision, lock.models[1].commit) == ("v3", moved.commit)
    assert any(note.startswith("two: not in recipe.lock yet") for note in told.notes)
    assert read_lock(recipe.directory / LOCK_FILE) == lock


def test_a_removed_image_is_taken_anew(recipe: Recipe) -> None:
    made = resolve(recipe, patient(Shelf()), Gallery(), SilentProgress())
    without(recipe, "images", 0)
    moved, gallery, told = Shelf(commit="b2" * 20), Gallery(), Listener()
    assert resolve(recipe, patient(moved), gallery, told) == made
    assert (moved.asked, gallery.asked) == ([], ["os:recipe"])
    assert any(note.startswith("os:recipe: not in recipe.lock yet") for note in told.notes)


def test_a_new_model_is_added_in_the_order_of_the_recipe(recipe: Recipe) -> None:
    made = resolve(recipe, patient(Shelf()), Gallery(), SilentProgress())
    recipe.file.write_text(RECIPE.replace("models:\n", "models:\n  - { name: new, repo: owner/new, path: /m/new }\n"))
    moved = Shelf(commit="b2" * 20)
    lock = resolve(load_recipe(recipe.directory), patient(moved), Gallery(empty=True), SilentProgress())
    assert moved.asked == ["new"]
    assert [model.name for model in lock.models] == ["new", "one", "two"]
    assert lock.models[1:] == made.models


def test_what_cannot_be_added_leaves_the_lock_as_it_was(recipe: Recipe) -> None:
    resolve(recipe, patient(Shelf()), Gallery(), SilentProgress())
    without(recipe, "models", 0)
    before = (recipe.directory / LOCK_FILE).read_bytes()
    with pytest.raises(DownloadError):
        resolve(recipe, patient(Shelf(busy=99)), Gallery(), SilentProgress())
    assert (recipe.directory / LOCK_FILE).read_bytes() == before


def test_digests_are_recorded_once_they_are_known(recipe: Recipe) -> None:
    lock = resolve(recipe, patient(Shelf()), Gallery(), SilentProgress())
    path = recipe.directory / LOCK_FILE
    unchanged = [Snapshot(model, Path("x")) for model in lock.models]
    before = path.stat().st_mtime_ns
    assert record_digests(recipe, lock, unchanged) == lock
    assert path.stat().st_mtime_ns == before
    known = [
        Snapshot(
            model.model_copy(
                update={"files": tuple(file.model_copy(update={"sha256": "c" * 64}) for file in model.files)}
            ),
            Path("x"),
        )
        for model in lock.models
    ]
    complete = record_digests(recipe, lock, known)
    assert {file.sha256 for model in complete.models for file in model.files} == {"c" * 64}
    assert resolve(recipe, patient(Shelf(busy=99)), Gallery(empty=True), SilentProgress()) == complete
