"""``--model`` of ``bundler init``: which models of a recipe become others."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import TypeAdapter, ValidationError

from bundler.builder.exchanges import ModelExchange
from bundler.builder.recipe import Recipe
from bundler.builder.recipe_types import RepoId
from bundler.core.errors import UsageError

_REPO: TypeAdapter[str] = TypeAdapter(RepoId)
_WHERE = "--model"


def exchanges_of(recipe: Recipe, asked: Sequence[str]) -> tuple[ModelExchange, ...]:
    """Read ``MODEL=REPO``, or ``REPO`` where the recipe has one model.

    Raises UsageError for a model that the recipe does not have or that is named twice, and for what is no repo.
    """
    exchanges = tuple(_exchange(recipe, text) for text in asked)
    models = [each.model for each in exchanges]
    twice = sorted({model for model in models if models.count(model) > 1})
    if twice:
        raise UsageError(f"more than one repo for {', '.join(twice)}", where=_WHERE, remedy="name one for each model")
    return exchanges


def _exchange(recipe: Recipe, text: str) -> ModelExchange:
    repos = {model.name: model.repo for model in recipe.models}
    model, equals, repo = text.rpartition("=")
    if not equals and len(repos) == 1:
        (model,) = repos
    if model not in repos:
        what = f"no model {model!r} in {recipe.name}" if equals else f"which model of {recipe.name} becomes {repo}?"
        remedy = f"write MODEL=REPO with one of these models: {', '.join(repos)}"
        raise UsageError(what, where=_WHERE, remedy=remedy)
    try:
        return ModelExchange(model, repos[model], _REPO.validate_python(repo))
    except ValidationError as error:
        remedy = "write OWNER/NAME, as the page of the model shows it"
        raise UsageError(f"{repo!r} is not a repo of the Hub", where=_WHERE, remedy=remedy) from error
