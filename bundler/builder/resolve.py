"""From a recipe to its lock: what stands in ``recipe.lock`` is used, what is missing is read from its source."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from bundler.builder.agreement import AskedImage, asked_images, require_agreement
from bundler.builder.hub.retry import Clock, ExhaustedError, RetryPolicy, SystemClock, TransientError, retried
from bundler.builder.hub.snapshot import Snapshot
from bundler.builder.hub.source import Source
from bundler.builder.lock import LOCK_FILE, Lock, LockedImage, LockedModel, read_lock, write_lock
from bundler.builder.recipe import BuildSpec, ModelSpec, Recipe
from bundler.core.errors import DownloadError
from bundler.core.progress import Progress


class ImageSource(Protocol):
    """Whoever can say what identifies an image from outside."""

    def resolve_image(self, asked: AskedImage) -> LockedImage:
        """What identifies it there; raises EngineError or BuildError where it cannot be had."""


def with_arguments(recipe: Recipe, arguments: Mapping[str, str]) -> Recipe:
    """The recipe with build arguments of the command line, which decide about ``FROM`` lines too."""
    if not arguments:
        return recipe

    def extended(spec: BuildSpec) -> BuildSpec:
        return spec.model_copy(update={"args": {**spec.args, **arguments}})

    base = extended(recipe.base) if isinstance(recipe.base, BuildSpec) else recipe.base
    return recipe.model_copy(update={"base": base, "apps": tuple(extended(app) for app in recipe.apps)})


@dataclass(frozen=True)
class PatientSource:
    """A source that is asked again, as the policy says, where another attempt may help."""

    source: Source
    policy: RetryPolicy
    progress: Progress
    clock: Clock = SystemClock()  # noqa: RUF009 - it has no state

    def resolve(self, wanted: ModelSpec) -> LockedModel:
        """What the wanted revision is; raises DownloadError that names the model and the number of tries."""

        def told(attempt: int, error: TransientError, pause_s: float) -> None:
            self.progress.note(f"{wanted.name}: attempt {attempt} failed ({error}); the next one in {pause_s:.0f} s")

        try:
            return retried(lambda: self.source.resolve(wanted), self.policy, self.clock, told)
        except ExhaustedError as error:
            raise DownloadError(
                f"model {wanted.name}: no answer about its files in {error.attempts} attempts ({error})",
                where=f"{wanted.repo}@{wanted.revision} at {self.source.name}",
                remedy="run the same command again when the network is there; or give another --endpoint",
            ) from error


def resolve(recipe: Recipe, source: PatientSource, images: ImageSource, progress: Progress) -> Lock:
    """The recipe's lock: entries that are there stay, those that are missing are read from their source and written.

    Raises RecipeError where recipe and lock disagree, DownloadError or EngineError where something cannot be resolved.
    """
    path = recipe.directory / LOCK_FILE
    before = read_lock(path)
    if before is not None:
        require_agreement(recipe, before)
        progress.note(f"{LOCK_FILE} is there: {len(before.models)} models, {len(before.images)} images stay as locked")
    held = before or Lock(format=1, platform=recipe.platform, models=(), images=())
    lock = Lock(
        format=1,
        platform=recipe.platform,
        models=tuple(held.model_named(spec.name) or _model(spec, source, progress) for spec in recipe.models),
        images=tuple(
            held.image_asked(asked.role, asked.asked) or _image(asked, images, progress)
            for asked in asked_images(recipe)
        ),
    )
    if lock != before:
        write_lock(path, lock)
    return lock


def _model(spec: ModelSpec, source: PatientSource, progress: Progress) -> LockedModel:
    model = source.resolve(spec)
    told = f"{spec.repo}@{spec.revision} is commit {model.commit}, {len(model.files)} files"
    progress.note(f"{spec.name}: not in {LOCK_FILE} yet; {told}")
    return model


def _image(asked: AskedImage, images: ImageSource, progress: Progress) -> LockedImage:
    image = images.resolve_image(asked)
    progress.note(f"{asked.asked}: not in {LOCK_FILE} yet; it is {image.value} ({image.kind})")
    return image


def record_digests(recipe: Recipe, lock: Lock, snapshots: Iterable[Snapshot]) -> Lock:
    """The lock with a sha256 for every file, now that all are here; written where that is news."""
    complete = lock.model_copy(update={"models": tuple(snapshot.model for snapshot in snapshots)})
    if complete != lock:
        write_lock(recipe.directory / LOCK_FILE, complete)
    return complete
