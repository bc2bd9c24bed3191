"""A recipe against its lock: what was asked when the lock was made, and what is asked now."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from bundler.builder.lock import LOCK_FILE, Lock, LockedModel
from bundler.builder.recipe import BuildSpec, ImageBase, Recipe
from bundler.builder.recipe_dockerfiles import dockerfile_of
from bundler.builder.recipe_models import ModelSpec
from bundler.core.errors import Problem, RecipeError
from bundler.core.reference import Reference

Role = Literal["from", "image"]
_RELOCK = "if that is meant, run `bundler lock`, which takes what the recipe says now"


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


@dataclass(frozen=True)
class Missing:
    """What a recipe asks for and its lock does not have yet: to be resolved, nothing that was locked is touched."""

    models: tuple[ModelSpec, ...]
    images: tuple[AskedImage, ...]

    def __bool__(self) -> bool:
        return bool(self.models or self.images)


def missing_in(recipe: Recipe, lock: Lock) -> Missing:
    """What the lock lacks, in the recipe's order."""
    models = tuple(spec for spec in recipe.models if lock.model_named(spec.name) is None)
    asked = asked_images(recipe)
    images = tuple(each for each in asked if lock.image_asked(each.role, each.asked) is None)
    return Missing(models, images)


def disagreements(recipe: Recipe, lock: Lock, *, of_images: bool = True) -> list[Problem]:
    """Everything in which what is locked is not what is asked for; what is missing is no disagreement."""
    return [*_platforms(recipe, lock), *_models(recipe, lock), *(_images(recipe, lock) if of_images else ())]


def require_agreement(recipe: Recipe, lock: Lock, *, of_images: bool = True) -> None:
    """Raise RecipeError, with every difference and how to go on, where lock and recipe contradict each other."""
    problems = disagreements(recipe, lock, of_images=of_images)
    if problems:
        raise RecipeError(
            "the recipe disagrees with its lock",
            where=str(recipe.directory / LOCK_FILE),
            remedy=f"undo the change of the recipe, or accept it: run `bundler lock {recipe.directory}`",
            problems=problems,
        )


def require_complete(recipe: Recipe, lock: Lock, *, of_images: bool = True) -> None:
    """Raise RecipeError, naming all, where the recipe asks for something that the lock does not have."""
    missing = missing_in(recipe, lock)
    images = missing.images if of_images else ()
    problems = [
        *(
            Problem(_place_of_model(recipe, spec), f"the model {spec.name!r} is not in {LOCK_FILE}")
            for spec in missing.models
        ),
        *(Problem(each.where, f"the image {each.asked} is not in {LOCK_FILE}") for each in images),
    ]
    if problems:
        raise RecipeError(
            "the lock lacks what the recipe asks for",
            where=str(recipe.directory / LOCK_FILE),
            remedy=f"run `bundler lock {recipe.directory}`, or build without --locked",
            problems=problems,
        )


def _place_of_model(recipe: Recipe, spec: ModelSpec) -> str:
    return recipe.where("models", recipe.models.index(spec))


def _platforms(recipe: Recipe, lock: Lock) -> Iterator[Problem]:
    if recipe.platform != lock.platform:
        yield Problem(
            recipe.where("platform"), f"the recipe is for {recipe.platform}, its lock for {lock.platform}", _RELOCK
        )


def _models(recipe: Recipe, lock: Lock) -> Iterator[Problem]:
    for spec in recipe.models:
        locked = lock.model_named(spec.name)
        if locked is not None:
            yield from _changes(spec, locked, _place_of_model(recipe, spec))
    asked = [model.name for model in recipe.models]
    for locked in lock.models:
        if locked.name not in asked:
            yield Problem(LOCK_FILE, f"the model {locked.name!r} is not in the recipe", _RELOCK)
    in_lock = [model.name for model in lock.models if model.name in asked]
    in_recipe = [name for name in asked if name in in_lock]
    if in_lock != in_recipe:
        what = f"models stand in the order {', '.join(in_recipe)}, in the lock {', '.join(in_lock)}"
        yield Problem(recipe.where("models"), f"{what}; their layers stand in it", _RELOCK)


def agrees(spec: ModelSpec, locked: LockedModel) -> bool:
    """Whether the locked model is what the recipe asks for."""
    return not list(_changes(spec, locked, ""))


def _changes(model: ModelSpec, locked: LockedModel, where: str) -> Iterator[Problem]:
    pairs: tuple[tuple[str, object, object], ...] = (
        ("repo", model.repo, locked.repo_id),
        ("revision", model.revision, locked.revision),
        ("include", list(model.include), list(locked.include)),
        ("exclude", list(model.exclude), list(locked.exclude)),
    )
    for key, now, then in pairs:
        if now != then:
            yield Problem(where, f"the model {model.name!r} asks for {key} {now}, its lock for {then}", _RELOCK)


def _images(recipe: Recipe, lock: Lock) -> Iterator[Problem]:
    known = {(each.role, each.asked) for each in asked_images(recipe)}
    for locked in lock.images or ():
        if (locked.role, locked.asked) not in known:
            yield Problem(LOCK_FILE, f"the image {locked.asked} is not in the recipe", _RELOCK)
