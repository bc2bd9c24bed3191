"""``lock`` and ``fetch``: what a recipe resolves to, and its models on this host, without building anything."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from bundler.builder.beside import OutsideWorld
from bundler.builder.cache import Cache
from bundler.builder.compress import Compression
from bundler.builder.hub.fetch import Snapshot
from bundler.builder.images import BuildEngine, BuildOptions
from bundler.builder.lock import Lock
from bundler.builder.lock_changes import changes
from bundler.builder.recipe import Recipe
from bundler.builder.recipe_file import load_recipe
from bundler.builder.resolve import Upgrade, keep_lock, locked, relock, resolve, with_arguments, with_digests
from bundler.builder.space import Need, existing_place, require_space
from bundler.builder.staged_blobs import EngineLayers, StagedBlobs
from bundler.builder.supply import DownloadSettings, ModelPlan, ModelSupply
from bundler.core.docker_api import EngineClient
from bundler.core.locking import exclusive_lock
from bundler.core.progress import Progress


@dataclass(frozen=True)
class ModelSettings:
    """What the person decides about a run that touches models alone."""

    cache: Cache
    download: DownloadSettings = field(default_factory=DownloadSettings)
    arguments: Mapping[str, str] = field(default_factory=dict)
    lock_timeout_s: float = 0.0


@dataclass(frozen=True)
class LockReport:
    """A lock that was written, and what is different in it."""

    lock: Lock
    changes: tuple[str, ...]


@dataclass(frozen=True)
class DownloadPlan:
    """What a download would do: bytes that it needs on the cache's disk, and bytes that are free there."""

    cache: Path
    models: tuple[ModelPlan, ...]
    needed_size: int
    free_size: int


def lock_recipe(
    directory: Path,
    upgrade: Upgrade,
    settings: ModelSettings,
    engine: Callable[[], EngineClient] | None,
    progress: Progress,
) -> LockReport:
    """Bring ``recipe.lock`` up to what the recipe says now; without an engine the images are left as they are.

    Raises BundlerError; then the lock is what it was.
    """
    recipe = with_arguments(load_recipe(directory), settings.arguments)
    with _alone(recipe, settings):
        supply = ModelSupply(recipe, settings.download, settings.cache.root, progress)
        world = _world(recipe, settings, engine(), progress) if engine else None
        before, lock = relock(recipe, upgrade, supply, world, progress)
        lock = keep_lock(recipe, supply.judge(lock, before))
        return LockReport(lock, changes(before, lock))


def fetch_models(
    directory: Path, settings: ModelSettings, progress: Progress, *, only_locked: bool
) -> tuple[Snapshot, ...]:
    """The recipe's models in the cache, each byte compared with the lock, which is made where there is none."""
    recipe = with_arguments(load_recipe(directory), settings.arguments)
    with _alone(recipe, settings):
        supply = ModelSupply(recipe, settings.download, settings.cache.root, progress)
        lock = _lock(recipe, supply, progress, only_locked=only_locked)
        if not only_locked:
            keep_lock(recipe, lock)
        require_space([Need(settings.cache.root, supply.missing_size(lock), "models to be fetched")])
        snapshots = supply.fetch(lock, reread=True)
        if not only_locked:
            keep_lock(recipe, with_digests(lock, snapshots))
        return snapshots


def plan_download(directory: Path, settings: ModelSettings, progress: Progress, *, only_locked: bool) -> DownloadPlan:
    """What ``fetch`` would do; nothing is written, and nothing but metadata is asked for."""
    recipe = with_arguments(load_recipe(directory), settings.arguments)
    supply = ModelSupply(recipe, settings.download, settings.cache.root, progress)
    models = supply.plan(_lock(recipe, supply, progress, only_locked=only_locked))
    root = settings.cache.root
    free = shutil.disk_usage(existing_place(root)).free
    return DownloadPlan(root, models, sum(model.missing_size for model in models), free)


def _alone(recipe: Recipe, settings: ModelSettings) -> AbstractContextManager[None]:
    return exclusive_lock(settings.cache.lock(recipe.name), f"the bundle {recipe.name}", settings.lock_timeout_s)


def _lock(recipe: Recipe, supply: ModelSupply, progress: Progress, *, only_locked: bool) -> Lock:
    lock = locked(recipe) if only_locked else resolve(recipe, supply, None, progress)
    return supply.judge(lock)


def _world(recipe: Recipe, settings: ModelSettings, client: EngineClient, progress: Progress) -> OutsideWorld:
    ca_bundle = settings.download.ca_bundle
    engine = BuildEngine(client, settings.cache.work, recipe.platform, BuildOptions(ca_bundle=ca_bundle), progress)
    layers = EngineLayers(StagedBlobs(settings.cache.layers, Compression()))
    return OutsideWorld(recipe, engine, layers, settings.cache.blobs, ca_bundle, progress)
