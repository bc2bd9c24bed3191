"""Build arguments that are read from models: which value is taken, and what is refused where."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath

import pytest

from bundler.builder.model_arguments import with_model_arguments
from bundler.builder.model_tree import ModelTree, TreeFile, hub_cache_tree
from bundler.builder.recipe import BuildSpec, Recipe
from bundler.builder.recipe_file import load_recipe
from bundler.core.digest import Digest
from bundler.core.errors import RecipeError

RECIPE = """\
format: 1
name: quick
version: "1.0.0"
platform: linux/amd64
models:
  - { name: reranker, repo: owner/reranker, path: /app/reranker }
base:
  dockerfile: Dockerfile.base
  tag: "quick:base"
  args: { KIND: cpu }
  args_from: { VERSION: { model: reranker, file: config.json, key: transformers_version } }
apps: [ { dockerfile: Dockerfile, tag: "quick:1.0.0" } ]
"""


def load(here: Path, text: str = RECIPE, base: str = "FROM busybox:1\nARG VERSION\n") -> Recipe:
    (here / "Dockerfile.base").write_text(base)
    (here / "Dockerfile").write_text("FROM quick:base\n")
    (here / "recipe.yaml").write_text(text)
    return load_recipe(here)


def tree(content: bytes = b'{"transformers_version": "4.44.2"}', name: str = "config.json") -> ModelTree:
    file = TreeFile(name, len(content), Digest.of(content), content)
    return ModelTree("reranker", PurePosixPath("/app/reranker"), 0, 0, (file,))


def arguments(recipe: Recipe) -> dict[str, str]:
    assert isinstance(recipe.base, BuildSpec)
    return recipe.base.args


def test_the_value_is_what_the_model_says(tmp_path: Path) -> None:
    recipe = with_model_arguments(load(tmp_path), [tree()])
    assert arguments(recipe) == {"KIND": "cpu", "VERSION": "4.44.2"}
    assert recipe.apps[0].args == {}


def test_a_model_in_a_hub_cache_is_read_too(tmp_path: Path) -> None:
    cached = hub_cache_tree(tree(), "owner/reranker", "a" * 40, ["main"])
    assert arguments(with_model_arguments(load(tmp_path), [cached]))["VERSION"] == "4.44.2"


def test_an_argument_that_was_given_decides(tmp_path: Path) -> None:
    recipe = load(tmp_path)
    assert isinstance(recipe.base, BuildSpec)
    given = recipe.base.model_copy(update={"args": {"VERSION": "5.0"}})
    recipe = recipe.model_copy(update={"base": given})
    assert arguments(with_model_arguments(recipe, [tree(b"not read")]))["VERSION"] == "5.0"


@pytest.mark.parametrize(
    ("model", "told"),
    [
        (tree(name="other.json"), "the model has no such file"),
        (tree(b"{"), "not JSON"),
        (tree(b"[]"), "no text at 'transformers_version'"),
        (tree(json.dumps({"transformers_version": 4}).encode()), "no text at 'transformers_version'"),
        (tree(b" " * (5 << 20)), "are no settings"),
    ],
)
def test_a_model_that_does_not_say_it_ends_the_build(tmp_path: Path, model: ModelTree, told: str) -> None:
    with pytest.raises(RecipeError, match=told) as caught:
        with_model_arguments(load(tmp_path), [model])
    assert (caught.value.where, caught.value.exit_code) == ("recipe.yaml:11", 3)
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("text", "base", "told"),
    [
        (RECIPE.replace("model: reranker", "model: other"), "FROM busybox:1\n", "from a model 'other', which is not"),
        (RECIPE.replace("KIND", "VERSION"), "FROM busybox:1\n", "VERSION stands in `args:` too"),
        (RECIPE, "ARG VERSION=1\nFROM busybox:${VERSION}\n", "VERSION decides what Dockerfile.base is made FROM"),
    ],
)
def test_what_cannot_be_is_told_with_its_line(tmp_path: Path, text: str, base: str, told: str) -> None:
    with pytest.raises(RecipeError) as caught:
        load(tmp_path, text, base)
    (problem,) = caught.value.problems
    assert problem.where == "recipe.yaml:11"
    assert told in problem.what
