"""From ``recipe.yaml`` to a `Recipe`, or to one error that lists every problem with its line and what would be right."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pydantic import ValidationError

from bundler.builder.recipe import FORMAT, RECIPE_FILE, Recipe, RecipeDocument
from bundler.builder.recipe_draft import Draft
from bundler.builder.recipe_faults import describe
from bundler.builder.recipe_rules import problems_of
from bundler.builder.yaml_source import YamlFault, YamlSource, read_yaml
from bundler.core.errors import Problem, RecipeError


def load_recipe(directory: Path) -> Recipe:
    """Read the recipe in ``directory``; raises RecipeError with all of its problems."""
    source = _read(directory)
    document = _mapping(source, directory)
    problems = [*_faults_of_values(source, document), *problems_of(Draft(directory, source))]
    if problems:
        raise _refused(directory, problems)
    return Recipe.model_validate({**document, "directory": directory, "lines": source.lines})


def _read(directory: Path) -> YamlSource:
    path = directory / RECIPE_FILE
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        remedy = "name a directory that holds a recipe.yaml, or make one with `bundler init DIRECTORY`"
        raise RecipeError(f"there is no {RECIPE_FILE}", where=str(directory), remedy=remedy) from error
    except OSError as error:
        remedy = f"name a directory with a readable {RECIPE_FILE}"
        raise RecipeError(f"the recipe cannot be read: {error.strerror}", where=str(path), remedy=remedy) from error
    try:
        return read_yaml(content, RECIPE_FILE)
    except YamlFault as error:
        raise _refused(directory, [error.problem]) from error


def _mapping(source: YamlSource, directory: Path) -> dict[str, object]:
    document = source.document
    if document is None:
        problem = Problem(f"{RECIPE_FILE}:1", "the file is empty", "`bundler init DIRECTORY` writes one to begin with")
        raise _refused(directory, [problem])
    if not isinstance(document, dict):
        problem = Problem(f"{RECIPE_FILE}:1", "not a recipe: no keys at its top", "begin with `format: 1`")
        raise _refused(directory, [problem])
    version = document.get("format")
    if isinstance(version, int) and not isinstance(version, bool) and version > FORMAT:
        # A newer form has keys that this release cannot judge: nothing else is reported.
        newer = f"the recipe has format {version}, this bundler reads format {FORMAT}"
        raise RecipeError(newer, where=source.where(("format",)), remedy="use a newer bundler")
    return document


def _faults_of_values(source: YamlSource, document: dict[str, object]) -> list[Problem]:
    try:
        RecipeDocument.model_validate(document)
    except ValidationError as error:
        found = error.errors(include_url=False)
        # pydantic calls a list too short if its items are wrong, which are reported by themselves.
        return [describe(each, source) for each in found if each["type"] != "too_short" or not each["input"]]
    return []


def _refused(directory: Path, problems: Iterable[Problem]) -> RecipeError:
    found = sorted(set(problems), key=_place)
    count = "one problem" if len(found) == 1 else f"{len(found)} problems"
    remedy = "mend the lines that are named, then type the same command again"
    return RecipeError(f"the recipe has {count}", where=str(directory / RECIPE_FILE), remedy=remedy, problems=found)


def _place(problem: Problem) -> tuple[bool, str, int, str]:
    """The recipe first, then its other files, each from top to bottom."""
    file, _, line = problem.where.rpartition(":")
    if not line.isdigit():
        file, line = problem.where, "0"
    return file != RECIPE_FILE, file, int(line), problem.what
