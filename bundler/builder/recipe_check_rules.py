"""What no single value of a check shows: files of recorded outputs that are not usable, or of no model.

One that is not there yet is no fault of the recipe: who is to record it needs the model, and so the lock, first.
"""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import TypeAdapter

from bundler.builder.golden_file import read_golden
from bundler.builder.recipe_draft import EACH, Draft, Found
from bundler.builder.recipe_types import RecipePath, Slug
from bundler.core.errors import Problem, RecipeError

_PATH: TypeAdapter[str] = TypeAdapter(RecipePath)
_NAME: TypeAdapter[str] = TypeAdapter(Slug)


def check_problems(draft: Draft) -> Iterator[Problem]:
    """All problems that the rules about checks find."""
    for each in draft.values(_PATH, "checks", EACH, "golden"):
        yield from _golden_problems(draft, each)


def _golden_problems(draft: Draft, found: Found[str]) -> Iterator[Problem]:
    if not (draft.directory / found.value).exists():
        return
    try:
        golden = read_golden(draft.directory / found.value)
    except RecipeError as error:
        yield Problem(found.where, f"{found.value}: {error.what}", error.remedy)
        return
    models = [each.value for each in draft.values(_NAME, "models", EACH, "name")]
    if golden.model not in models:
        remedy = f"name one of: {', '.join(models)}" if models else "add the model, or take the check away"
        yield Problem(found.where, f"{found.value}: recorded of a model {golden.model!r}, which is not here", remedy)
