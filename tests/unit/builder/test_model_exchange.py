"""`--model` of `bundler init`: which models become others."""

from __future__ import annotations

from pathlib import Path

import pytest

from bundler.builder.exchanges import ModelExchange
from bundler.builder.model_exchange import exchanges_of
from bundler.builder.recipe import Recipe
from bundler.builder.recipe_file import load_recipe
from bundler.builder.shipped_recipes import shipped_recipe
from bundler.core.errors import UsageError
from tests.support.starting_recipe import write_starting_recipe


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    return load_recipe(write_starting_recipe(tmp_path))


def test_each_is_named_where_there_are_several(recipe: Recipe) -> None:
    assert exchanges_of(recipe, ["ranker=me/r", "embedder=me/e"]) == (
        ModelExchange("ranker", "acme/rank-1b", "me/r"),
        ModelExchange("embedder", "acme/embed-1b", "me/e"),
    )


def test_where_there_is_one_its_repo_is_enough() -> None:
    only = load_recipe(shipped_recipe("quickstart"))
    (exchange,) = exchanges_of(only, ["me/e"])
    assert (exchange.model, exchange.new_repo, exchange.old_name) == ("minilm", "me/e", "all-MiniLM-L6-v2")


@pytest.mark.parametrize(
    ("asked", "what", "remedy"),
    [
        (["me/e"], "which model of deep-ocr becomes me/e", "embedder, ranker"),
        (["reader=me/e"], "no model 'reader' in deep-ocr", "embedder, ranker"),
        (["=me/e"], "no model ''", "embedder, ranker"),
        (["ranker=me e"], "'me e' is not a repo", "OWNER/NAME"),
        (["ranker="], "'' is not a repo", "OWNER/NAME"),
        (["ranker=me/a", "ranker=me/b"], "more than one repo for ranker", "one for each"),
    ],
)
def test_what_cannot_be_meant(recipe: Recipe, asked: list[str], what: str, remedy: str) -> None:
    with pytest.raises(UsageError) as caught:
        exchanges_of(recipe, asked)
    assert (what in caught.value.what, remedy in caught.value.remedy) == (True, True), str(caught.value)
