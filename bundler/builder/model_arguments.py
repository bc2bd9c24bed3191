"""Build arguments whose values stand in models, ``args_from:`` in a recipe.

A model that brings its own code says with which release of its library that code runs; an image that is built with
another one may load it and answer wrongly. So the value is read from the model's own file, as it was locked, when all
models are here and before the first image is built.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from bundler.builder.model_tree import ModelTree, TreeFile
from bundler.builder.recipe import BuildSpec, ModelValue, Recipe
from bundler.core.errors import RecipeError

_MAX_SIZE = 4 << 20  # of a file of settings, in bytes


def with_model_arguments(recipe: Recipe, trees: Sequence[ModelTree]) -> Recipe:
    """The recipe with every ``args_from`` read; an argument of the same name that is given already decides.

    Raises RecipeError where a model does not hold the value.
    """
    models = {tree.name: tree for tree in trees}

    def filled(spec: BuildSpec, *location: str | int) -> BuildSpec:
        read = {
            name: _value(source, models, recipe.where(*location, "args_from", name))
            for name, source in spec.args_from.items()
            if name not in spec.args
        }
        return spec.model_copy(update={"args": {**spec.args, **read}})

    base = filled(recipe.base, "base") if isinstance(recipe.base, BuildSpec) else recipe.base
    apps = tuple(filled(app, "apps", index) for index, app in enumerate(recipe.apps))
    return recipe.model_copy(update={"base": base, "apps": apps})


def _value(source: ModelValue, models: Mapping[str, ModelTree], where: str) -> str:
    tree = models[source.model]
    file = next((file for file in tree.files if _path_in_model(file) == source.file), None)
    if file is None:
        raise _refused(source, where, "the model has no such file", "correct `file:`, or take the file by `include:`")
    try:
        document = json.loads(_content(file))
    except ValueError as error:
        raise _refused(source, where, f"not JSON: {error}", "name a file of settings in JSON") from error
    value = document.get(source.key) if isinstance(document, dict) else None
    if not isinstance(value, str) or not value:
        raise _refused(source, where, f"no text at {source.key!r}", "correct `key:`, or give the argument by `args:`")
    return value


def _path_in_model(file: TreeFile) -> str:
    """In a Hub cache a file stands at ``snapshots/COMMIT/PATH``."""
    parts = PurePosixPath(file.path).parts
    return "/".join(parts[2:]) if parts[0] == "snapshots" else file.path


def _content(file: TreeFile) -> bytes:
    if file.size > _MAX_SIZE:
        raise ValueError(f"{file.size:,} bytes are no settings")
    return file.source if isinstance(file.source, bytes) else file.source.read_bytes()


def _refused(source: ModelValue, where: str, what: str, remedy: str) -> RecipeError:
    return RecipeError(f"{source.model}: {source.file}: {what}", where=where, remedy=remedy)
