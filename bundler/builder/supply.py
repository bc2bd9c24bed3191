"""The way to models, for ``lock``, ``fetch`` and ``build`` alike: what a person and a recipe decide, and the steps of it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bundler.builder.hub.catalogue import Catalogue, CatalogueEntry
from bundler.builder.hub.downloaders.choose import Chosen
from bundler.builder.hub.fetch import Fetcher, Snapshot
from bundler.builder.hub.limits import Limits
from bundler.builder.hub.retry import Clock, ExhaustedError, RetryPolicy, TransientError, retried
from bundler.builder.hub.soundness.rules import require_sound, require_sound_listing
from bundler.builder.hub.source import Source
from bundler.builder.hub.sources.credentials import gather
from bundler.builder.hub.sources.endpoints import endpoints_of
from bundler.builder.hub.sources.order import SourceSettings, resolve_first, sources_of
from bundler.builder.hub.store import ModelStore
from bundler.builder.licences import require_accepted, with_acceptance
from bundler.builder.lock import Lock, LockedModel
from bundler.builder.recipe import Recipe
from bundler.builder.recipe_models import DownloaderName, DownloadSpec, ModelSpec
from bundler.core.errors import DownloadError
from bundler.core.progress import Progress

_CONNECTIONS = 8


@dataclass(frozen=True)
class DownloadSettings:
    """What the person decides. ``endpoint_tokens`` are ``URL=FILE``; ``spec`` is what a recipe may state too."""

    endpoints: tuple[str, ...] = ()
    directories: tuple[Path, ...] = ()
    token_file: Path | None = None
    endpoint_tokens: tuple[str, ...] = ()
    ca_bundle: Path | None = None
    spec: DownloadSpec = field(default_factory=DownloadSpec)
    accepted_licences: frozenset[str] = frozenset()


@dataclass(frozen=True)
class FilePlan:
    """A file that a download would bring: ``here`` of its ``size`` bytes are on this host already."""

    path: str
    size: int
    here: int


@dataclass(frozen=True)
class ModelPlan:
    """What fetching a model would do, and where it would ask, in order."""

    name: str
    told: str
    sources: tuple[str, ...]
    files: tuple[FilePlan, ...]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)

    @property
    def missing_size(self) -> int:
        """Bytes that would be downloaded."""
        return sum(file.size - file.here for file in self.files)


class ModelSupply:
    """One run's way to the models of one recipe."""

    def __init__(
        self,
        recipe: Recipe,
        settings: DownloadSettings,
        cache: Path,
        progress: Progress,
        clock: Clock | None = None,
    ) -> None:
        self._recipe = recipe
        self._settings = settings
        self._progress = progress
        decided = _merged(recipe.download, settings.spec)
        self._fetcher = _fetcher(decided, settings.ca_bundle, cache, progress, clock)
        self._limits = self._fetcher.limits
        self._sources = _source_settings(recipe.directory, settings, self._limits, cache)
        self._catalogue = Catalogue(cache)

    def resolve(self, spec: ModelSpec) -> LockedModel:
        """What the model is now, at the first source that can say it; raises DownloadError."""

        def told(number: int, error: TransientError, pause_s: float) -> None:
            self._progress.note(f"{spec.name}: attempt {number} failed ({error}); the next one in {pause_s:.0f} s")

        sources = self._of(spec)
        try:
            found = retried(lambda: resolve_first(sources, spec), self._limits.policy, self._limits.clock, told)
        except ExhaustedError as error:
            raise DownloadError(
                f"model {spec.name}: no answer about its files in {error.attempts} attempts ({error})",
                where=f"{spec.repo}@{spec.revision} at {', '.join(source.name for source in sources)}",
                remedy="run the same command again when the network is there; or give another --endpoint, or --from DIR",
            ) from error
        for refusal in found.refusals:
            self._progress.note(f"{spec.name}: {refusal}")
        model = found.model
        if len(sources) > 1:
            self._progress.note(f"{spec.name}: resolved at {found.source}")
        if model.canonical_id != model.repo_id:
            self._progress.note(f"{spec.name}: {model.repo_id} is called {model.canonical_id} now; both are locked")
        return model

    def judge(self, lock: Lock, before: Lock | None = None) -> Lock:
        """The lock with what was accepted of its licences; raises where a model is none, or its licence wants a word.

        All of it is seen from the lock, before a byte of weights is fetched. ``before`` is the lock that this one
        replaces: what was accepted there of the same terms stays so.
        """
        require_sound_listing(self._pairs(lock))
        by_recipe = frozenset(self._recipe.accept_licences)
        by_person = self._settings.accepted_licences
        models = tuple(
            with_acceptance(model, by_recipe, by_person, before.model_named(model.name) if before else None)
            for model in lock.models
        )
        require_accepted(models)
        return lock.model_copy(update={"models": models})

    def fetch(self, lock: Lock, *, reread: bool = False) -> tuple[Snapshot, ...]:
        """Every model on this host, each found to be one; ``reread`` compares what is here already, too."""
        pairs = self._pairs(lock)
        snapshots = tuple(self._fetcher.fetch(model, self._of(spec), reread=reread) for spec, model in pairs)
        found = list(zip((spec for spec, _ in pairs), snapshots, strict=True))
        require_sound(found)
        for spec, snapshot in found:
            self._catalogue.note(spec, snapshot.model, self._recipe.directory)
        return snapshots

    def _pairs(self, lock: Lock) -> list[tuple[ModelSpec, LockedModel]]:
        return list(zip(self._recipe.models, lock.models, strict=True))

    def missing_size(self, lock: Lock) -> int:
        """Bytes that are still to be fetched."""
        return sum(self._fetcher.missing_size(model) for model in lock.models)

    def plan(self, lock: Lock) -> tuple[ModelPlan, ...]:
        """What ``fetch`` would do."""
        return tuple(self._plan(spec, model) for spec, model in self._pairs(lock))

    def _plan(self, spec: ModelSpec, model: LockedModel) -> ModelPlan:
        files = tuple(FilePlan(file.path, file.size, self._fetcher.here(file)) for file in model.files)
        return ModelPlan(spec.name, model.told, tuple(source.name for source in self._of(spec)), files)

    def _of(self, spec: ModelSpec) -> Sequence[Source]:
        return sources_of(spec, self._sources)


def refetch(entry: CatalogueEntry, settings: DownloadSettings, cache: Path, progress: Progress) -> Snapshot:
    """A model that was here once, brought anew from the sources that its recipe named, whatever became of that."""
    fetcher = _fetcher(settings.spec, settings.ca_bundle, cache, progress, None)
    sources = sources_of(entry.spec, _source_settings(Path(entry.recipe), settings, fetcher.limits, cache))
    return fetcher.fetch(entry.model, sources)


def _source_settings(recipe_directory: Path, settings: DownloadSettings, limits: Limits, cache: Path) -> SourceSettings:
    endpoints = endpoints_of(settings.endpoints, os.environ)
    return SourceSettings(
        cache=cache,
        recipe_directory=recipe_directory,
        endpoints=endpoints,
        chosen=bool(settings.endpoints),
        directories=settings.directories,
        credentials=gather(os.environ, endpoints, settings.token_file, settings.endpoint_tokens),
        ca_bundle=settings.ca_bundle,
        timeout_s=limits.policy.timeout_s,
        halt=limits.halt,
    )


def _fetcher(
    decided: DownloadSpec, ca_bundle: Path | None, cache: Path, progress: Progress, clock: Clock | None
) -> Fetcher:
    limits = Limits.of(policy_of(decided), decided.connections or _CONNECTIONS, decided.limit_rate, clock)
    name: DownloaderName = decided.downloader or "auto"
    return Fetcher(ModelStore(cache), Chosen(limits, name, ca_bundle), limits, progress)


def policy_of(spec: DownloadSpec) -> RetryPolicy:
    """The policy with what was decided in place of its defaults."""
    named = ("attempts", "first_delay_s", "longest_delay_s", "deadline_s", "timeout_s", "stall")
    decided: dict[str, Any] = {name: getattr(spec, name) for name in named if getattr(spec, name) is not None}
    return replace(RetryPolicy(), **decided)


def _merged(recipe: DownloadSpec, person: DownloadSpec) -> DownloadSpec:
    decided = {name: value for name, value in person if value is not None}
    return recipe.model_copy(update=decided)
