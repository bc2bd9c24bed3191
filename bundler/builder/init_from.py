"""``bundler init --from``: a new recipe out of one that comes with bundler, under another name, with other models if asked."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from bundler.builder.change_notes import MARK, Note, annotated, notes_on_dockerfiles, notes_on_recipe
from bundler.builder.exchanges import ModelExchange, rewritten, text_in, with_name, with_repos, without_links_outside
from bundler.builder.golden_file import read_golden
from bundler.builder.init import SCHEMA_COPY
from bundler.builder.model_exchange import exchanges_of
from bundler.builder.new_recipe import NewFile, require_name, write_new
from bundler.builder.recipe import RECIPE_FILE, Recipe
from bundler.builder.recipe_checks import GoldenSpec
from bundler.builder.recipe_file import load_recipe
from bundler.builder.schema import schema_text
from bundler.builder.shipped_recipes import files_of, shipped_recipe
from bundler.core.errors import PreconditionError, UsageError

#: Containers and users of Linux are called like a recipe; engines and useradd take no other lengths.
_LENGTHS = range(2, 33)
_SCHEMA_LINE = re.compile(r"\$schema=\S+")


@dataclass(frozen=True)
class Started:
    """What was written, which models became others, and what that left to do.

    ``not_taken`` are files of outputs that were recorded of the old models; ``still_named`` are others that speak of one;
    ``to_record`` are those that checks compare with and that nobody has recorded yet.
    """

    files: tuple[Path, ...]
    exchanges: tuple[ModelExchange, ...]
    not_taken: tuple[str, ...]
    still_named: tuple[str, ...]
    to_record: tuple[str, ...]


def init_from(origin: str, target: Path, name: str, models: Sequence[str] = ()) -> Started:
    """Start a recipe called ``name`` in ``target`` from the recipe ``origin`` of bundler.

    ``models`` are exchanged for others: ``MODEL=REPO``, or ``REPO`` where the recipe has one model. Raises UsageError for
    a recipe or a model that does not exist, a name or a repo that cannot be one; PreconditionError where ``target`` is
    not empty or cannot be written. Nothing is left behind then.
    """
    recipe = load_recipe(shipped_recipe(origin))
    _require_fitting(name)
    exchanges = exchanges_of(recipe, models)
    _require_empty(target)
    recorded_of = _recorded_of(recipe)
    not_taken = {file for file, model in recorded_of.items() if model in {each.model for each in exchanges}}
    taken = {path: file for path, file in files_of(recipe.directory).items() if path not in not_taken}
    # What was recorded is compared as it stands, whatever words it holds.
    recorded = {path: taken.pop(path) for path in recorded_of if path in taken}
    exchanged = _exchanged(taken, recipe, name, exchanges)
    files = {**_commented(exchanged, recipe, exchanges, recorded_of), **recorded}
    renamed = {with_name(path, recipe.name, name): file for path, file in files.items()}
    written = write_new(target, {**renamed, SCHEMA_COPY: NewFile(schema_text().encode())})
    still_named = _naming(exchanged, [each.old_name for each in exchanges])
    to_record = tuple(with_name(file, recipe.name, name) for file in _compared_with(recipe) if file not in recorded_of)
    return Started(written, exchanges, tuple(sorted(not_taken)), still_named, to_record)


def _require_fitting(name: str) -> None:
    require_name(name)
    if len(name) not in _LENGTHS:
        what = f"{name!r} cannot be the name of a container and of a user, and this recipe's are called like it"
        remedy = f"use {_LENGTHS[0]} to {_LENGTHS[-1]} characters"
        raise UsageError(what, where="NAME", remedy=remedy)


def _require_empty(target: Path) -> None:
    if target.is_dir() and any(target.iterdir()):
        raise PreconditionError("the directory is not empty", where=str(target), remedy="name an empty or a new one")


def _recorded_of(recipe: Recipe) -> dict[str, str]:
    """The model of each file of recorded outputs that is there."""
    files = {file: recipe.path_of(file) for file in _compared_with(recipe)}
    return {file: read_golden(path).model for file, path in files.items() if path.is_file()}


def _compared_with(recipe: Recipe) -> list[str]:
    """Files of recorded outputs, each once: two checks may compare with one."""
    return list(dict.fromkeys(check.golden for check in recipe.checks if isinstance(check, GoldenSpec)))


def _exchanged(
    files: Mapping[str, NewFile], recipe: Recipe, name: str, exchanges: Sequence[ModelExchange]
) -> dict[str, NewFile]:
    """Words exchanged; no line moves."""
    home = f"recipes/{recipe.name}"

    def exchanged(path: str, text: str) -> str:
        if PurePosixPath(path).name == RECIPE_FILE:
            text = _with_own_schema(path, text)
            if path == RECIPE_FILE:
                text = _with_other_models(text, recipe, exchanges)
        elif PurePosixPath(path).suffix == ".md":
            # Prose says more about a model than its repo: a person has to read it again.
            text = without_links_outside(text, path, home)
        else:
            text = with_repos(text, exchanges)
        return with_name(text, recipe.name, name)

    return rewritten(files, exchanged)


def _with_own_schema(path: str, text: str) -> str:
    """``recipe.yaml`` at ``path`` with the schema that stands beside the first recipe."""
    up = "../" * path.count("/") or "./"
    return _SCHEMA_LINE.sub(f"$schema={up}{SCHEMA_COPY}", text, count=1)


def _with_other_models(text: str, recipe: Recipe, exchanges: Sequence[ModelExchange]) -> str:
    """``recipe.yaml`` with other repos as its models; addresses of the old ones stay what they are."""
    lines = text.splitlines(keepends=True)
    for index, model in enumerate(recipe.models):
        at = recipe.lines["models", index, "repo"] - 1
        lines[at] = with_repos(lines[at], [each for each in exchanges if each.model == model.name])
    return "".join(lines)


def _naming(files: Mapping[str, NewFile], words: Sequence[str], beside: str = RECIPE_FILE) -> tuple[str, ...]:
    """Files beside ``beside`` in which one of the words stands, by itself or in a longer path."""
    wanted = [re.compile(rf"(?<![\w-]){re.escape(word)}(?![\w-])") for word in words]
    texts = {path: text_in(file) or "" for path, file in files.items() if path != beside}
    return tuple(path for path, text in texts.items() if any(word.search(text) for word in wanted))


def _commented(
    files: Mapping[str, NewFile], recipe: Recipe, exchanges: Sequence[ModelExchange], recorded_of: Mapping[str, str]
) -> dict[str, NewFile]:
    header = Note(2, f"Started from bundler's recipe {recipe.name}; `grep -rn {MARK} .` shows what is to be changed.")
    notes = _notes(files, recipe, "", exchanges, recorded_of)
    notes[RECIPE_FILE].insert(0, header)
    # One whose image stands beside those of the first, and which is built by itself.
    for folder in (PurePosixPath(path).parent for path in files if path.endswith(f"/{RECIPE_FILE}")):
        notes |= _notes(files, load_recipe(recipe.directory / folder), f"{folder}/", (), {})
    return rewritten(files, lambda path, text: annotated(text, notes.get(path, ())))


def _notes(
    files: Mapping[str, NewFile],
    recipe: Recipe,
    folder: str,
    exchanges: Sequence[ModelExchange],
    recorded_of: Mapping[str, str],
) -> dict[str, list[Note]]:
    """What is said in the files of one recipe, which stands in ``folder`` (with its slash)."""
    file = f"{folder}{RECIPE_FILE}"
    places = {model.name: _naming(files, [str(model.path)], file) for model in recipe.models}
    return {
        file: list(notes_on_recipe(recipe, exchanges, recorded_of, places)),
        **{f"{folder}{path}": notes for path, notes in notes_on_dockerfiles(recipe).items()},
    }
