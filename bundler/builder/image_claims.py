"""What a recipe and its lock say of an image that stands already: the models in it, and the checks for it."""

from __future__ import annotations

from pathlib import Path

from bundler.builder.assemble import locked_tree
from bundler.builder.describe import describe_model
from bundler.builder.describe_checks import describe_checks
from bundler.builder.golden_file import require_recorded_of
from bundler.builder.recipe_file import load_recipe
from bundler.builder.resolve import locked
from bundler.core.bundle_manifest import BundledModel
from bundler.core.checks import AnyCheck
from bundler.core.reference import Reference


def checks_of(directory: Path) -> tuple[AnyCheck, ...]:
    """All checks of the recipe in ``directory``; raises RecipeError."""
    return describe_checks(load_recipe(directory))


def claims_of(directory: Path, reference: Reference) -> tuple[tuple[BundledModel, ...], tuple[AnyCheck, ...]]:
    """The models and the checks that the recipe in ``directory`` has for an image of that name.

    An image of another name than the recipe's is taken for its first application. Raises RecipeError where the recipe
    or its lock is not usable, or outputs were recorded of another model.
    """
    recipe = load_recipe(directory)
    lock = locked(recipe, of_images=False)  # the image is built; whatever arguments its build had are not known here
    require_recorded_of(recipe, lock)
    models = tuple(
        describe_model(spec, model, locked_tree(spec, model))
        for spec, model in zip(recipe.models, lock.models, strict=True)
    )
    ours = [spec.tag for spec in (*recipe.apps, recipe.base)]
    taken_for = reference if reference in ours else ours[0]
    return models, tuple(check for check in describe_checks(recipe) if check.image == taken_for)
