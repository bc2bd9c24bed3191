"""Looking after the cache: what it holds, whether it is still right, mending it, and making room."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from bundler.builder.cache import Cache
from bundler.builder.hub.catalogue import Catalogue, CatalogueEntry
from bundler.builder.hub.store import GIT_WORK, ModelStore
from bundler.builder.lock import LockedModel
from bundler.core.digest import Digest
from bundler.core.errors import Problem
from bundler.core.locking import exclusive_lock
from bundler.core.progress import ObservedReader, Progress

_DAY_S = 24 * 3600.0


@dataclass(frozen=True)
class CachedModel:
    """A model that was fetched: bytes that are ``here`` of its ``size``, and when it was used (seconds since 1970)."""

    name: str
    told: str
    recipe: str
    size: int
    here: int
    used: float


@dataclass(frozen=True)
class CacheState:
    """All of the cache: its models, and the bytes of each of its parts."""

    root: Path
    models: tuple[CachedModel, ...]
    sizes: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Pruned:
    """What was removed, or would be: files, and bytes."""

    paths: tuple[Path, ...]
    size: int


def cache_state(cache: Cache) -> CacheState:
    """What is there; nothing is read but names and sizes."""
    store = ModelStore(cache.root)
    models = tuple(_cached(entry, store) for _, entry in Catalogue(cache.root).entries())
    parts = (store.objects, store.partial, cache.root / GIT_WORK, cache.layers, cache.blobs, cache.prepared)
    return CacheState(cache.root, models, tuple((part.name, _size(part)) for part in parts))


def _cached(entry: CatalogueEntry, store: ModelStore) -> CachedModel:
    model = entry.model
    here = sum(file.size for file in model.files if store.find(file))
    return CachedModel(entry.spec.name, model.told, entry.recipe, model.size, here, entry.used)


def damaged_objects(cache: Cache, progress: Progress) -> tuple[Problem, ...]:
    """Every model file is read; those whose content is not what their name says."""
    store = ModelStore(cache.root)
    paths = sorted(_objects(store))
    found = []
    with progress.task("cache", sum(path.stat().st_size for path in paths)) as task:
        for path in paths:
            try:
                with path.open("rb") as stream:
                    digest = Digest.of_stream(ObservedReader(stream, task))  # type: ignore[arg-type]  # it reads
            except OSError as error:
                found.append(Problem(str(path), f"cannot be read: {error.strerror}"))
                continue
            if digest.hex != path.name:
                found.append(Problem(str(path), f"is called by another sha256 than it has, {digest.hex}"))
    return tuple(found)


def remove_damaged(problems: tuple[Problem, ...]) -> None:
    """Remove the files that are named."""
    for problem in problems:
        Path(problem.where).unlink(missing_ok=True)


def incomplete(cache: Cache) -> tuple[CatalogueEntry, ...]:
    """Models that were fetched once and are not whole any more."""
    store = ModelStore(cache.root)
    entries = [entry for _, entry in Catalogue(cache.root).entries()]
    return tuple(entry for entry in entries if any(store.find(file) is None for file in entry.model.files))


def prune(cache: Cache, keep_days: float, *, dry_run: bool, now: float | None = None) -> Pruned:
    """Remove what no run has used for ``keep_days`` days; what no entry of the catalogue knows goes by when it came.

    Raises HeldLockError while a run uses the cache.
    """
    before = (time.time() if now is None else now) - keep_days * _DAY_S
    with ExitStack() as held:
        for lock in sorted((cache.root / "locks").glob("*.lock")):
            held.enter_context(exclusive_lock(lock, f"the cache ({lock.stem})"))
        paths = tuple(_unused(cache, before))
        size = sum(path.stat().st_size for path in paths)
        if not dry_run:
            for path in paths:
                path.unlink(missing_ok=True)
        return Pruned(paths, size)


def _unused(cache: Cache, before: float) -> Iterator[Path]:
    store, catalogue = ModelStore(cache.root), Catalogue(cache.root)
    entries = tuple(catalogue.entries())
    kept = _digests(entry.model for _, entry in entries if entry.used >= before)
    outlived = _digests(entry.model for _, entry in entries if entry.used < before) - kept
    unreadable = {path: path.stat().st_mtime for path in {*catalogue.paths()} - {path for path, _ in entries}}
    told_of_all = all(used < before for used in unreadable.values())

    def is_unused(digest: str, path: Path) -> bool:
        if digest in outlived or digest in kept:
            return digest in outlived
        # Nobody knows it: a fetch that is not at its end notes nothing yet, and what cannot be read may speak of it.
        return told_of_all and path.stat().st_ctime < before

    yield from (path for path, entry in entries if entry.used < before)
    yield from (path for path, used in unreadable.items() if used < before)
    yield from (path for path in _objects(store) if is_unused(path.name, path))
    for name in _files(cache.root / "git"):
        with suppress(OSError):
            if is_unused(name.read_text("ascii", "replace").strip(), name):
                yield name
    for folder in (store.partial, cache.root / GIT_WORK, cache.layers, cache.blobs, cache.prepared):
        yield from (path for path in _files(folder) if path.stat().st_mtime < before)


def _digests(models: Iterable[LockedModel]) -> set[str]:
    return {file.sha256 for model in models for file in model.files if file.sha256}


def _objects(store: ModelStore) -> Iterator[Path]:
    return (path for path in store.objects.glob("??/*") if path.is_file())


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in _files(folder))
