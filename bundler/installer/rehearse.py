"""The rehearsal: everything of an install but its traces, so that a bundle is proved before anyone carries it away.

No name, receipt or payload file is set; what the rehearsal brought into the engine is removed, whatever happens, and
what was there before stays.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from bundler.core.bundle import open_bundle
from bundler.core.bundle_manifest import BundleManifest
from bundler.core.check_result import CheckResult
from bundler.core.checks import AnyCheck
from bundler.core.digest import Digest
from bundler.core.locking import HeldLockError
from bundler.core.progress import Progress, SilentProgress
from bundler.core.reference import Reference
from bundler.installer.checks.running import run_checks, run_commands
from bundler.installer.engine import Engine, RunSpec
from bundler.installer.host import Host
from bundler.installer.journal import open_journal
from bundler.installer.journal_file import read_entries
from bundler.installer.load import load_images
from bundler.installer.names import name_all
from bundler.installer.preflight import preflight
from bundler.installer.prove import prove_image

#: Another build may be clearing up after a killed rehearsal, or have one of its own, which takes its checks' time.
_LOCK_TIMEOUT_S = 3600.0


def clear(engine: Engine, host_state: Path, progress: Progress) -> None:
    """Remove what killed rehearsals left in ``engine``: containers, and the images of all kits.

    One that runs now is left alone: it clears up itself. Raises EngineError or PreconditionError.
    """
    engine_id = engine.facts().engine_id
    host = Host(host_state)
    try:
        with host.lock():
            engine.remove_leftovers()
            if read_entries(host.journal_path(engine_id)) is None:
                return
            progress.note("an earlier rehearsal did not finish: what it left in the engine is removed")
            with open_journal(host, host_state, engine, engine_id, SilentProgress()) as journal:
                journal.forget_images(all_kits=True)
    except HeldLockError:
        return


def rehearse_mounted(
    checks: Sequence[AnyCheck],
    image_ids: Mapping[Reference, Digest],
    engine: Engine,
    spec: RunSpec,
    progress: Progress,
    *,
    where_in_code: bool = False,
) -> tuple[CheckResult, ...]:
    """The results of ``run`` checks in images that hold no models, with the mounts and variables of ``spec``."""
    progress.step("rehearse: run checks with the models mounted, without a network")
    engine.remove_leftovers()
    paths = tuple(spec.mounts)
    return run_commands(checks, image_ids, engine, progress, spec, model_paths=paths, where_in_code=where_in_code)


def load_named(kit: Path, engine: Engine, host_state: Path, progress: Progress) -> tuple[Reference, ...]:
    """Bring the kit's images into ``engine`` under their names, and nothing else of it; gives the names.

    Raises BundlerError, and then no name was moved.
    """
    facts = engine.facts()
    host = Host(host_state, lock_timeout_s=_LOCK_TIMEOUT_S)
    with host.lock(progress.note), open_journal(host, kit, engine, facts.engine_id, progress) as journal:
        engine.remove_leftovers()
        bundle = open_bundle(kit, host.policy)
        plan = preflight(bundle, engine, facts, journal.standing_blobs, progress)
        progress.step("load images into this engine")
        load_images(bundle, engine, plan, journal, progress)
        image_ids = {image.reference: prove_image(image, bundle.manifest, engine) for image in bundle.images}
        name_all(image_ids, engine, journal)
        journal.finish(image_ids.values())
    return tuple(image_ids)


@contextmanager
def loaded(
    kit: Path, engine: Engine, host: Host, purpose: str, progress: Progress
) -> Iterator[tuple[BundleManifest, Mapping[Reference, Digest]]]:
    """The kit's images in ``engine``, proved and without a name, for the time of the block; then nothing is left.

    ``host`` takes a journal for the time; it must not be one that installs use. Raises BundlerError.
    """
    facts = engine.facts()
    with host.lock(progress.note), open_journal(host, kit, engine, facts.engine_id, progress) as journal:
        try:
            progress.step(f"{purpose}: load images, without a name")
            engine.remove_leftovers()
            bundle = open_bundle(kit, host.policy)
            plan = preflight(bundle, engine, facts, journal.standing_blobs, progress)
            load_images(bundle, engine, plan, journal, progress)
            progress.step(f"{purpose}: prove every image")
            image_ids = {image.reference: prove_image(image, bundle.manifest, engine) for image in bundle.images}
            yield bundle.manifest, image_ids
        finally:
            journal.forget_images(all_kits=True)


def rehearse(
    kit: Path, engine: Engine, host_state: Path, progress: Progress, *, where_in_code: bool = False
) -> tuple[CheckResult, ...]:
    """The results of all checks of the kit at ``kit``, failed ones too; ``host_state`` takes a journal for the time.

    ``where_in_code`` hooks Python processes, so that attempts to call out are told with their lines.
    Raises BundlerError where the kit cannot be installed into ``engine`` at all.
    """
    host = Host(host_state, lock_timeout_s=_LOCK_TIMEOUT_S)
    with loaded(kit, engine, host, "rehearse", progress) as (manifest, image_ids):
        progress.step("rehearse: run checks without a network")
        return run_checks(manifest, image_ids, engine, progress, where_in_code=where_in_code)
