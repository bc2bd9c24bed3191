"""A recipe against its lock: what was asked when the lock was made, and what is asked now.

What the lock lacks is no disagreement: it is read from its source and added. So the remedy for every entry that
disagrees is to remove it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from bundler.builder.lock import LOCK_FILE, Lock, LockedModel
from bundler.builder.recipe import BuildSpec, ImageBase, ModelSpec, Recipe
from bundler.builder.recipe_dockerfiles import dockerfile_of
from bundler.core.errors import Problem, RecipeError
from bundler.core.reference import Reference

Role = Literal["from", "image"]
_REMOVE_ENTRY = f"if that is meant, remove the entry from {LOCK_FILE} and build again"


@dataclass(frozen=True)
class AskedImage:
    """An image from outside that a recipe needs: ``asked`` as written (arguments filled in), ``where`` it is written."""

    role: Role
    asked: str
    where: str


def asked_images(recipe: Recipe) -> tuple[AskedImage, ...]:
    """Every outside image once, in the order of the recipe: the base's, the apps', then ``images:``."""
    found: dict[tuple[Role, str], AskedImage] = {}
    for each in [*_of_builds(recipe), *_of_others(recipe)]:
        found.setdefault((each.role, each.asked), each)
    return tuple(found.values())


def _of_builds(recipe: Recipe) -> Iterator[AskedImage]:
    base: list[BuildSpec] = []
    if isinstance(recipe.base, ImageBase):
        yield AskedImage("from", recipe.base.image, recipe.where("base", "image"))
    else:
        base = [recipe.base]
    for build in [*base, *recipe.apps]:
        dockerfile = dockerfile_of(recipe, build)
        for image in dockerfile.outside:
            if Reference.parse(image.name).tagged() != recipe.base.tag:
                yield AskedImage("from", image.name, f"{dockerfile.name}:{image.line}")


def _of_others(recipe: Recipe) -> Iterator[AskedImage]:
    for index, image in enumerate(recipe.images):
        yield AskedImage("image", image.image, recipe.where("images", index))


def disagreements(recipe: Recipe, lock: Lock) -> list[Problem]:
    """Everything that the lock says otherwise than the recipe; empty if all of its entries are the recipe's."""
    return [*_platforms(recipe, lock), *_models(recipe, lock), *_images(recipe, lock)]


def require_agreement(recipe: Recipe, lock: Lock) -> None:
    """Raise RecipeError, with every difference and how to go on, unless all entries of the lock are the recipe's."""
    problems = disagreements(recipe, lock)
    if problems:
        remedy = (
            f"undo the change of the recipe, or accept it: remove the entries named above from {LOCK_FILE} "
            f"(or the whole file) and build again"
        )
        where = str(recipe.directory / LOCK_FILE)
        raise RecipeError("the recipe disagrees with its lock", where=where, remedy=remedy, problems=problems)


def _platforms(recipe: Recipe, lock: Lock) -> Iterator[Problem]:
    if recipe.platform != lock.platform:
        what = f"the recipe is for {recipe.platform}, its lock for {lock.platform}"
        yield Problem(recipe.where("platform"), what, f"if that is meant, remove {LOCK_FILE} and build again")


def _models(recipe: Recipe, lock: Lock) -> Iterator[Problem]:
    asked = [model.name for model in recipe.models]
    for index, model in enumerate(recipe.models):
        locked = lock.model_named(model.name)
        if locked is not None:
            yield from _changes(model, locked, recipe.where("models", index))
    for locked in lock.models:
        if locked.name not in asked:
            yield Problem(LOCK_FILE, f"the model {locked.name!r} is not in the recipe", _REMOVE_ENTRY)
    locked_order = [model.name for model in lock.models if model.name in asked]
    asked_order = [name for name in asked if name in locked_order]
    if locked_order != asked_order:
        what = f"models stand in the order {', '.join(asked_order)}, in the lock {', '.join(locked_order)}"
        remedy = f"their layers stand in it: restore it, or remove {LOCK_FILE} and build again"
        yield Problem(recipe.where("models"), what, remedy)


def _changes(model: ModelSpec, locked: LockedModel, where: str) -> Iterator[Problem]:
    pairs: tuple[tuple[str, object, object], ...] = (
        ("repo", model.repo, locked.repo_id),
        ("revision", model.revision, locked.revision),
        ("include", list(model.include), list(locked.include)),
        ("exclude", list(model.exclude), list(locked.exclude)),
    )
    for key, now, then in pairs:
        if now != then:
            yield Problem(where, f"the model {model.name!r} asks for {key} {now}, its lock for {then}", _REMOVE_ENTRY)


def _images(recipe: Recipe, lock: Lock) -> Iterator[Problem]:
    known = {(each.role, each.asked) for each in asked_images(recipe)}
    for locked in lock.images:
        if (locked.role, locked.asked) not in known:
            yield Problem(LOCK_FILE, f"the image {locked.asked} is not in the recipe", _REMOVE_ENTRY)
