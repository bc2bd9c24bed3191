"""``build``: from a recipe to a kit, as the list of its steps.

The weights never pass through the engine: it builds the operating system and the applications, bundler puts the
models' layers below them. What a killed build fetched, packed and built is kept, and the next one goes on from there;
the kit has its name only when it is whole, was read back, and was rehearsed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Literal, Protocol

from bundler import __version__
from bundler.builder.assemble import (
    Assembly,
    LocalModel,
    local_model,
    packed_size,
    plain_size,
    require_composable,
    require_storable,
)
from bundler.builder.beside import OutsideWorld
from bundler.builder.cache import Cache
from bundler.builder.compress import Compression
from bundler.builder.describe import created_time
from bundler.builder.describe_checks import describe_checks
from bundler.builder.engine_part import EnginePart, build_images
from bundler.builder.golden_file import require_recorded_of
from bundler.builder.images import BuildEngine, BuildOptions, request_of
from bundler.builder.kit_writer import StagedKit
from bundler.builder.lock import Lock
from bundler.builder.model_arguments import with_model_arguments
from bundler.builder.models_whole import keep_models_whole
from bundler.builder.papers import Rehearsed, papers_of
from bundler.builder.prepare import staged_trees
from bundler.builder.recipe import ImageBase, Recipe
from bundler.builder.recipe_file import load_recipe
from bundler.builder.resolve import keep_lock, locked, resolve, with_arguments, with_digests
from bundler.builder.source_policy.of_image import require_clean_images
from bundler.builder.source_policy.of_recipe import require_clean_sources
from bundler.builder.space import Need, StorePlace, require_space
from bundler.builder.staged_blobs import EngineLayers, StagedBlobs
from bundler.builder.steps import Steps
from bundler.builder.supply import DownloadSettings, ModelSupply
from bundler.builder.writer import BundleWriter
from bundler.core.bundle_manifest import BundleManifest, kit_title, render_bundle_manifest
from bundler.core.check_result import CheckResult, advice_on_places
from bundler.core.checks import AnyCheck
from bundler.core.digest import Digest
from bundler.core.docker_api import EngineClient
from bundler.core.errors import BundleError, CheckError, Problem
from bundler.core.kit import TrustPolicy
from bundler.core.locking import exclusive_lock
from bundler.core.progress import Progress
from bundler.core.provenance import Provenance, ProvingEngine
from bundler.core.quiet_environment import QUIET
from bundler.core.reference import Reference
from bundler.core.report.evidence import KnownBundle
from bundler.core.verify import verify_kit
from bundler.loader import loader_path

RehearsalMode = Literal["full", "mounted", "off"]


class Rehearsal(Protocol):
    """The installer's steps, as the builder may ask for them; who joins the two stands above both."""

    def store(self) -> StorePlace | None:
        """Where the engine that rehearses stores images; None for one whose disk is not seen from here."""

    def engine(self) -> ProvingEngine:
        """What the engine that rehearses says of itself."""

    def clear(self, progress: Progress) -> None:
        """Remove what killed rehearsals, of whatever kit, left in the engine."""

    def full(self, kit: Path, progress: Progress) -> tuple[CheckResult, ...]:
        """Load, prove and check the kit in the engine without names and without a trace; all results."""

    def mounted(
        self,
        checks: Sequence[AnyCheck],
        image_ids: Mapping[Reference, Digest],
        mounts: Mapping[str, Path],
        env: Mapping[str, str],
        progress: Progress,
    ) -> tuple[CheckResult, ...]:
        """Run checks in images as the engine built them, the models mounted read-only; all results."""


@dataclass(frozen=True)
class BuildSettings:
    """What the person who builds decides. ``load``: the caller brings the images into the engine afterwards."""

    output: Path
    cache: Cache
    download: DownloadSettings = field(default_factory=DownloadSettings)
    locked: bool = False
    compression: Compression = field(default_factory=Compression)
    rehearse: RehearsalMode = "full"
    load: bool = False
    lock_timeout_s: float = 0.0
    engine: BuildOptions = field(default_factory=BuildOptions)


@dataclass(frozen=True)
class BuildReport:
    """A finished kit; ``kit_size`` in bytes, ``seconds`` of each step, ``checks`` what the rehearsal found."""

    kit: Path
    kit_size: int
    manifest: BundleManifest
    builder: str
    rehearsal: RehearsalMode
    checks: tuple[CheckResult, ...]
    seconds: tuple[tuple[str, float], ...]


def build_kit(
    directory: Path, settings: BuildSettings, client: EngineClient, rehearsal: Rehearsal, progress: Progress
) -> BuildReport:
    """Build the recipe in ``directory`` into a kit below ``settings.output``.

    Raises BundlerError; then nothing stands at the kit's name, and what was fetched and built is kept.
    """
    recipe = with_arguments(load_recipe(directory), settings.engine.args)
    with exclusive_lock(settings.cache.lock(recipe.name), f"the bundle {recipe.name}", settings.lock_timeout_s):
        return _Build(recipe, settings, client, rehearsal, progress).run()


class _Build:
    """One build: the recipe, the settings, and the edges that the steps share."""

    def __init__(
        self, recipe: Recipe, settings: BuildSettings, client: EngineClient, rehearsal: Rehearsal, progress: Progress
    ) -> None:
        self._recipe = recipe
        self._settings = settings
        self._rehearsal = rehearsal
        self._progress = progress
        self._steps = Steps(progress)
        self._created = created_time(os.environ)
        self._loader = loader_path()
        cache, options = settings.cache, settings.engine
        self._staged = StagedBlobs(cache.layers, settings.compression)
        self._engine = BuildEngine(client, cache.work, recipe.platform, options, progress)
        self._world = OutsideWorld(
            recipe, self._engine, EngineLayers(self._staged), cache.blobs, options.ca_bundle, progress
        )
        self._supply = ModelSupply(recipe, settings.download, cache.root, progress)

    def run(self) -> BuildReport:
        """All steps, in their order."""
        step = self._steps.begin
        self._require_buildable()
        # Whatever this build's own rehearsal is: without one, nobody else would ever come for it.
        self._rehearsal.clear(self._progress)
        require_clean_sources(self._recipe, self._progress)
        step("resolve models and images")
        lock = self._lock()
        require_storable(self._recipe, lock)
        require_recorded_of(self._recipe, lock)
        step("check disk space")
        self._require_space_for_models(lock)
        step("download models")
        models, lock = self._fetch(lock)
        step(f"build images with {self._engine.choice.told}")
        part, mounted = self._build_images(lock, models)
        step("compose")
        require_composable(part, self._recipe)
        part = keep_models_whole(part, [model.tree for model in models], self._staged, self._progress)
        require_clean_images(self._recipe, part, self._progress)
        sizes = [model.tree.size for model in models]
        require_space(self._needs(sum(sizes), max(sizes, default=0), part))
        step("write the bundle")
        title = kit_title(self._recipe.name, self._recipe.version, self._recipe.platform)
        with StagedKit(self._settings.output, title) as kit:
            with BundleWriter(kit.tar) as writer:
                assembly = Assembly(self._recipe, part, self._created, self._settings.compression, self._progress)
                manifest = assembly.write(writer, models)
            step("read the bundle back")
            tar_sum = self._self_check(kit.tar)
            kit.write(manifest, tar_sum, self._loader, papers_of(models, None))
            step("rehearse")
            checks = mounted + self._rehearse(kit.directory)
            step("write the kit")
            known = KnownBundle(manifest, Digest.of(render_bundle_manifest(manifest)), tar_sum)
            rehearsed = Rehearsed(self._settings.rehearse, checks, self._provenance(checks), known)
            kit.write(manifest, tar_sum, self._loader, papers_of(models, rehearsed))
            path = kit.publish()
        self._steps.end()
        return BuildReport(
            kit=path,
            kit_size=sum(file.stat().st_size for file in path.rglob("*") if file.is_file()),
            manifest=manifest,
            builder=self._engine.choice.told,
            rehearsal=self._settings.rehearse,
            checks=checks,
            seconds=self._steps.seconds,
        )

    def _require_buildable(self) -> None:
        """What this builder lacks, by line of the Dockerfiles, before anything is fetched."""
        recipe = self._recipe
        specs = [spec for spec in (recipe.base, *recipe.apps) if not isinstance(spec, ImageBase)]
        self._engine.require_features(request_of(recipe, spec, self._settings.engine) for spec in specs)

    def _lock(self) -> Lock:
        if self._settings.locked:
            return self._supply.judge(locked(self._recipe))
        lock = resolve(self._recipe, self._supply, self._world, self._progress)
        return keep_lock(self._recipe, self._supply.judge(lock))

    def _require_space_for_models(self, lock: Lock) -> None:
        """Before a byte is fetched: what is missing in the cache, and the models once more in the output."""
        missing = self._supply.missing_size(lock)
        size = sum(model.size for model in lock.models)
        self._progress.note(f"{len(lock.models)} models, {size:,} bytes, {missing:,} of them to be fetched")
        largest = max((model.size for model in lock.models), default=0)
        needs = self._needs(size, largest, None)
        require_space([Need(self._settings.cache.root, missing, "models to be fetched"), *needs])

    def _needs(self, models_size: int, largest: int, part: EnginePart | None) -> list[Need]:
        """What the bundle takes in the output, and what it takes in the engine while the largest model loads.

        A rehearsal has gone from the engine before images are brought there to stay, so the two need what one needs.
        """
        layers_size = packed_size(part) if part else 0
        kit_size = models_size + layers_size + self._loader.stat().st_size
        needs = [Need(self._settings.output, kit_size, "the kit")]
        rehearsed = self._settings.rehearse == "full"
        store = self._rehearsal.store() if rehearsed or self._settings.load else None
        if store is not None:
            purpose = "the rehearsal in the engine" if rehearsed else "the images in the engine"
            needs.append(store.need(models_size + (plain_size(part) if part else 0), largest, purpose))
        return needs

    def _fetch(self, lock: Lock) -> tuple[tuple[LocalModel, ...], Lock]:
        snapshots = self._supply.fetch(lock)
        lock = with_digests(lock, snapshots)
        require_recorded_of(self._recipe, lock)
        if not self._settings.locked:
            keep_lock(self._recipe, lock)
        specs = {spec.name: spec for spec in self._recipe.models}
        return tuple(local_model(specs[snapshot.model.name], snapshot) for snapshot in snapshots), lock

    def _build_images(self, lock: Lock, models: Sequence[LocalModel]) -> tuple[EnginePart, tuple[CheckResult, ...]]:
        results: list[CheckResult] = []

        def trial(images: Mapping[Reference, str]) -> None:
            if self._settings.rehearse == "mounted":
                results.extend(self._try_mounted(images, models))

        trees = [model.tree for model in models]
        recipe = with_model_arguments(self._recipe, trees)
        part = build_images(recipe, lock, trees, self._world, self._settings.cache, trial, self._progress)
        return part, tuple(results)

    def _try_mounted(self, images: Mapping[Reference, str], models: Sequence[LocalModel]) -> tuple[CheckResult, ...]:
        """The quick rehearsal: the engine's own images, with the models where they will stand."""
        ids = {name: Digest.parse(image_id) for name, image_id in images.items()}
        checks = [check for check in describe_checks(self._recipe) if check.image in ids]
        with staged_trees([model.tree for model in models], self._settings.cache.work) as mounts:
            env = {**self._recipe.environment, **QUIET}
            return _passed(self._rehearsal.mounted(checks, ids, mounts, env, self._progress), self._recipe.name)

    def _self_check(self, tar: Path) -> Digest:
        report = verify_kit(tar, TrustPolicy(), self._progress)
        if report.problems or report.tar_sum is None:
            raise BundleError(
                "what was written is not what was meant to be written",
                where=str(tar),
                remedy="run the same command again; if it happens again, the output's disk or memory is faulty",
                problems=report.problems,
            )
        return report.tar_sum

    def _rehearse(self, kit: Path) -> tuple[CheckResult, ...]:
        if self._settings.rehearse != "full":
            self._progress.note(f"rehearsal: {self._settings.rehearse}, so the finished kit was not loaded here")
            return ()
        return _passed(self._rehearsal.full(kit, self._progress), self._recipe.name)

    def _provenance(self, checks: Sequence[CheckResult]) -> Provenance | None:
        """When and where the checks were run; None where there were none."""
        if not checks:
            return None
        at = datetime.now(timezone.utc).isoformat(timespec="seconds")
        return Provenance(at, f"bundler {__version__}", self._rehearsal.engine())


def _passed(results: tuple[CheckResult, ...], name: str) -> tuple[CheckResult, ...]:
    failed = [Problem(f"check {result.name}", result.detail) for result in results if result.failed]
    if failed:
        remedy = "mend the service or the check, then build again: what was fetched and built is kept"
        raise CheckError(
            f"{len(failed)} of {len(results)} checks failed in the rehearsal, so no kit was written",
            where=name,
            remedy="; ".join([remedy, *advice_on_places(results, "bundler build")]),
            problems=failed,
        )
    return results
