"""From a recipe to its lock: what stands in ``recipe.lock`` is used, what is missing is read from its source."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from bundler.builder.agreement import (
    AskedImage,
    agrees,
    asked_images,
    missing_in,
    require_agreement,
    require_complete,
)
from bundler.builder.hub.fetch import Snapshot
from bundler.builder.lock import LOCK_FILE, Lock, LockedImage, LockedModel, read_lock, write_lock
from bundler.builder.recipe import BuildSpec, Recipe
from bundler.builder.recipe_models import ModelSpec
from bundler.core.errors import RecipeError, UsageError
from bundler.core.progress import Progress


class ModelResolver(Protocol):
    """Whoever can say what a model is now."""

    def resolve(self, spec: ModelSpec) -> LockedModel:
        """Commit, files, sizes and digests; raises DownloadError where they cannot be had."""


class ImageSource(Protocol):
    """Whoever can say what identifies an image from outside."""

    def resolve_image(self, asked: AskedImage) -> LockedImage:
        """What identifies it there; raises EngineError or BuildError where it cannot be had."""


@dataclass(frozen=True)
class Upgrade:
    """What is to be resolved anew: the named models, or everything (``names`` None)."""

    names: frozenset[str] | None = frozenset()

    def of_model(self, name: str) -> bool:
        """Whether the model moves on."""
        return self.names is None or name in self.names

    @property
    def of_images(self) -> bool:
        """Whether images move on."""
        return self.names is None


def with_arguments(recipe: Recipe, arguments: Mapping[str, str]) -> Recipe:
    """The recipe with build arguments of the command line, which decide about ``FROM`` lines too."""
    if not arguments:
        return recipe

    def extended(spec: BuildSpec) -> BuildSpec:
        return spec.model_copy(update={"args": {**spec.args, **arguments}})

    base = extended(recipe.base) if isinstance(recipe.base, BuildSpec) else recipe.base
    return recipe.model_copy(update={"base": base, "apps": tuple(extended(app) for app in recipe.apps)})


def locked(recipe: Recipe, *, of_images: bool = True) -> Lock:
    """The lock as it stands, complete and in agreement; raises RecipeError where it is not.

    Without ``of_images`` nothing is asked of the images that a build starts from: which those are may be in its arguments.
    """
    lock = read_lock(recipe.directory / LOCK_FILE)
    if lock is None:
        raise RecipeError(
            "there is no lock, and nothing may be resolved",
            where=str(recipe.directory / LOCK_FILE),
            remedy=f"run `bundler lock {recipe.directory}` and keep the file, or leave --locked out",
        )
    require_agreement(recipe, lock, of_images=of_images)
    require_complete(recipe, lock, of_images=of_images)
    return lock


def resolve(recipe: Recipe, models: ModelResolver, images: ImageSource | None, progress: Progress) -> Lock:
    """The recipe's lock; what it lacks is resolved, the rest stays. Nothing is written.

    Without ``images`` these are left open. Raises RecipeError where recipe and lock disagree, DownloadError or
    EngineError where something cannot be resolved.
    """
    lock = read_lock(recipe.directory / LOCK_FILE)
    if lock is not None:
        require_agreement(recipe, lock)
        if not missing_in(recipe, lock):
            count = len(lock.images or ())
            progress.note(f"{LOCK_FILE} is there: {len(lock.models)} models and {count} images stay as locked")
    return _resolved(recipe, lock, Upgrade(), models, images, progress)


def relock(
    recipe: Recipe, upgrade: Upgrade, models: ModelResolver, images: ImageSource | None, progress: Progress
) -> tuple[Lock | None, Lock]:
    """The lock as it was, and as it is for the recipe as it is now: what agrees stays, the rest is resolved anew.

    Nothing is written. Raises UsageError for an upgrade of a model that the recipe does not have.
    """
    known = {spec.name for spec in recipe.models}
    unknown = sorted((upgrade.names or frozenset()) - known)
    if unknown:
        raise UsageError(
            f"the recipe has no model {', '.join(map(repr, unknown))}",
            where="--upgrade",
            remedy=f"name one of {', '.join(sorted(known))}, or none for all of them",
        )
    before = read_lock(recipe.directory / LOCK_FILE)
    kept = before if before is not None and before.platform == recipe.platform else None
    return before, _resolved(recipe, kept, upgrade, models, images, progress)


def _resolved(
    recipe: Recipe,
    kept: Lock | None,
    upgrade: Upgrade,
    models: ModelResolver,
    images: ImageSource | None,
    progress: Progress,
) -> Lock:
    found = tuple(_model(spec, kept, upgrade, models, progress) for spec in recipe.models)
    return Lock(format=1, platform=recipe.platform, models=found, images=_images(recipe, kept, upgrade, images))


def _model(
    spec: ModelSpec, kept: Lock | None, upgrade: Upgrade, models: ModelResolver, progress: Progress
) -> LockedModel:
    before = kept.model_named(spec.name) if kept else None
    if before is not None and agrees(spec, before) and not upgrade.of_model(spec.name):
        return before
    model = models.resolve(spec)
    commit = f"commit {model.commit}" if model.commit else "known by the digests of its files"
    progress.note(f"{spec.name}: {spec.repo}@{spec.revision} is {commit}, {len(model.files)} files")
    return model


def _images(
    recipe: Recipe, kept: Lock | None, upgrade: Upgrade, images: ImageSource | None
) -> tuple[LockedImage, ...] | None:
    if images is None:
        return kept.images if kept else None
    found = []
    for asked in asked_images(recipe):
        before = kept.image_asked(asked.role, asked.asked) if kept and not upgrade.of_images else None
        found.append(before or images.resolve_image(asked))
    return tuple(found)


def keep_lock(recipe: Recipe, lock: Lock) -> Lock:
    """Write the lock where it is not what stands there already; gives it back."""
    path = recipe.directory / LOCK_FILE
    if read_lock(path) != lock:
        write_lock(path, lock)
    return lock


def with_digests(lock: Lock, snapshots: Iterable[Snapshot]) -> Lock:
    """The lock with a sha256 for every file, now that all are here."""
    return lock.model_copy(update={"models": tuple(snapshot.model for snapshot in snapshots)})
