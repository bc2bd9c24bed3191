"""Files of recorded outputs: what they have to be, and of which model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bundler.builder.describe_checks import describe_checks
from bundler.builder.golden_file import MAX_OUTPUTS_SIZE, read_golden, require_recorded_of
from bundler.builder.lock import Lock, LockedFile
from bundler.builder.recipe import Recipe
from bundler.builder.recipe_file import load_recipe
from bundler.core.check_format import parse_check, render_check
from bundler.core.checks import GoldenCheck
from bundler.core.errors import BundleError, RecipeError
from bundler.core.json_fields import Fields
from tests.support.locked import COMMIT, locked_file, locked_model

SHA256 = "0f" * 32
GOOD: dict[str, Any] = {
    "model": "tiny",
    "commit": COMMIT,
    "files": {"model.safetensors": SHA256},
    "reference": "a test",
    "inputs": ["a", "ü\ud800"],
    "outputs": [[0.1], [0.2]],
}
RECIPE = """\
format: 1
name: small
version: 1.2.3
platform: linux/amd64
models: [ { name: tiny, repo: acme/tiny, path: /m/tiny } ]
base: { dockerfile: Dockerfile.base, tag: "small:base" }
checks:
  - { name: ends, run: "true" }
  - { name: right, golden: golden.json, run: [embed], tolerance: 0.5 }
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    (tmp_path / "Dockerfile.base").write_text("FROM os:1\n")
    write(tmp_path)
    return tmp_path


def write(directory: Path, **changes: Any) -> Path:
    path = directory / "golden.json"
    document = {key: value for key, value in {**GOOD, **changes}.items() if value != "LEFT OUT"}
    path.write_text(json.dumps(document))
    return path


def lock_with(**changes: Any) -> Lock:
    weights = locked_file("model.safetensors", sha256=SHA256, git_sha1=None)
    return Lock(
        format=1,
        platform="linux/amd64",
        models=(locked_model(changes.pop("name", "tiny"), **{"files": (weights,), **changes}),),
        images=None,
    )


def test_a_check_carries_what_was_recorded_and_is_read_back_equal(directory: Path) -> None:
    check = describe_checks(load_recipe(directory))[1]
    assert isinstance(check, GoldenCheck)
    assert (check.run, check.tolerance, check.golden.inputs) == (("embed",), 0.5, ("a", "ü\ud800"))
    assert check.golden.argument == '[["a"],["\\u00fc\\ud800"],["a","\\u00fc\\ud800"]]'
    document = json.loads(json.dumps(render_check(check)))
    assert parse_check(Fields(document, "test")) == check


def test_a_shell_line_finds_the_batches_in_its_first_parameter(directory: Path) -> None:
    recipe = directory / "recipe.yaml"
    recipe.write_text(RECIPE.replace("run: [embed]", """run: 'embed "$1" | tail'"""))
    assert describe_checks(load_recipe(directory))[1].run == ("/bin/sh", "-c", 'embed "$1" | tail', "/bin/sh")
    assert describe_checks(load_recipe(directory))[0].run == ("/bin/sh", "-c", "true")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"model": 1}, "model: should be a string"),
        ({"commit": "main"}, "commit: 'main' is not of the form"),
        ({"commit": None, "files": "LEFT OUT"}, "neither a commit nor files"),
        ({"commit": None, "files": {}}, "neither a commit nor files"),
        ({"files": {"a": "abc"}}, "files: should be sha256"),
        ({"files": ["a"]}, "files: should be an object"),
        ({"reference": "LEFT OUT"}, "reference: should be a string"),
        ({"inputs": "a"}, "inputs: should be a list"),
        ({"inputs": [], "outputs": []}, "0 for 0 inputs"),
        ({"inputs": ["a"]}, "2 for 1 inputs"),
        ({"inputs": ["a"], "outputs": [1]}, "one alone is never padded"),
        ({"outputs": [[0.1], [float("nan")]]}, "not of JSON's numbers"),
        ({"inputs": ["a", float("inf")]}, "not of JSON's numbers"),
        ({"inputs": ["a", "b" * (64 << 10)]}, "bytes as an argument, each input twice; a command takes 131,071"),
        ({"outputs": [[0.1], ["x" * MAX_OUTPUTS_SIZE]]}, "what a command prints may hold 196,608"),
    ],
)
def test_a_file_of_another_form_is_a_problem_of_the_recipe(directory: Path, changes: dict[str, Any], told: str) -> None:
    write(directory, **changes)
    with pytest.raises(RecipeError) as caught:
        load_recipe(directory)
    (problem,) = caught.value.problems
    assert problem.where == "recipe.yaml:9"
    assert problem.what.startswith("golden.json: the recorded outputs are not usable: ")
    assert told in problem.what
    assert "docs/checks.md" in problem.remedy


@pytest.mark.parametrize("content", [b"", b"[1]", b"{", b"\xff", b"[" * 100_000])
def test_a_file_that_is_none_is_a_problem_of_the_recipe(directory: Path, content: bytes) -> None:
    (directory / "golden.json").write_bytes(content)
    with pytest.raises(RecipeError) as caught:
        load_recipe(directory)
    assert [problem.where for problem in caught.value.problems] == ["recipe.yaml:9"]


def test_a_file_that_is_not_recorded_yet_stops_builds_and_not_the_fetching_of_its_model(directory: Path) -> None:
    (directory / "golden.json").unlink()
    recipe = load_recipe(directory)
    with pytest.raises(RecipeError) as caught:
        require_recorded_of(recipe, lock_with())
    (problem,) = caught.value.problems
    assert (problem.where, problem.what) == ("recipe.yaml:9", "golden.json: nothing was recorded yet")
    assert "bundler fetch" in problem.remedy


def test_as_much_as_an_argument_takes_is_taken(directory: Path) -> None:
    frame = len('[["a"],[""],["a",""]]')
    most = (131_071 - frame) // 2
    assert len(read_golden(write(directory, inputs=["a", "b" * most])).argument) in {131_070, 131_071}
    with pytest.raises(RecipeError, match="as an argument"):
        read_golden(write(directory, inputs=["a", "b" * (most + 1)]))


def test_all_problems_are_told_at_once(directory: Path) -> None:
    more = RECIPE + "  - { name: other, golden: none.json, run: [x] }\n  - { name: ends, run: a }\n"
    (directory / "recipe.yaml").write_text(more)
    (directory / "none.json").write_text("{")
    write(directory, model="other")
    with pytest.raises(RecipeError) as caught:
        load_recipe(directory)
    told = [str(problem) for problem in caught.value.problems]
    assert told[0] == ("recipe.yaml:9: golden.json: recorded of a model 'other', which is not here (name one of: tiny)")
    assert told[1].startswith("recipe.yaml:10: none.json: ")
    assert told[2].startswith("recipe.yaml:11: the name 'ends' stands in `checks` twice")


# -- of which model


@pytest.fixture
def recipe(directory: Path) -> Recipe:
    return load_recipe(directory)


def test_outputs_of_the_locked_model_are_taken(directory: Path, recipe: Recipe) -> None:
    require_recorded_of(recipe, lock_with())
    write(directory, commit=None)
    require_recorded_of(recipe, lock_with(commit="b" * 40))
    write(directory, files={})
    require_recorded_of(recipe, lock_with(files=(locked_file(),)))


def _other(sha256: str | None) -> LockedFile:
    return locked_file("model.safetensors", sha256=sha256, git_sha1="c" * 40)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"commit": "b" * 40}, f"golden.json: recorded for commit {COMMIT} of tiny, the lock has {'b' * 40}"),
        ({"commit": None}, f"golden.json: recorded for commit {COMMIT} of tiny, the lock has none"),
        ({"files": (_other("1" * 64),)}, f"sha256 {SHA256}, tiny in the lock has {'1' * 64}"),
        ({"files": (locked_file(),)}, "recorded of a file 'model.safetensors', which tiny does not have in the lock"),
        ({"name": "other"}, "golden.json: there is no model 'tiny' in the lock"),
    ],
)
def test_outputs_of_another_model_are_refused(recipe: Recipe, changes: dict[str, Any], told: str) -> None:
    with pytest.raises(RecipeError) as caught:
        require_recorded_of(recipe, lock_with(**changes))
    assert caught.value.exit_code == 3
    (problem,) = caught.value.problems
    assert (problem.where, told in problem.what) == ("recipe.yaml:9", True)


def test_a_digest_that_is_not_known_yet_is_compared_later(recipe: Recipe) -> None:
    require_recorded_of(recipe, lock_with(files=(_other(None),)))


# -- in a bundle


@pytest.mark.parametrize(
    "changes",
    [
        {"outputs": [[0.1]]},
        {"inputs": [], "outputs": []},
        {"commit": None, "files": {}},
        {"commit": "x"},
        {"files": {"a": "B" * 64}},
        {"inputs": ["a", "b" * (1 << 17)]},
        {"outputs": [[1], [float("inf")]]},
    ],
)
def test_a_bundle_with_another_recording_is_refused(recipe: Recipe, changes: dict[str, Any]) -> None:
    document = render_check(describe_checks(recipe)[1])
    document["golden"] = {**document["golden"], **changes}
    with pytest.raises(BundleError):
        parse_check(Fields(document, "test"))
