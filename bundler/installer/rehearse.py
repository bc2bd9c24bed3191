"""The rehearsal: everything of an install but its traces, so that a bundle is proved before anyone carries it away.

No name, receipt or payload file is set; what the rehearsal brought into the engine is removed, whatever happens, and
what was there before stays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from bundler.core.bundle import open_bundle
from bundler.core.bundle_manifest import RunCheck
from bundler.core.check_result import CheckResult
from bundler.core.digest import Digest
from bundler.core.progress import Progress
from bundler.core.reference import Reference
from bundler.installer.checks import run_checks, run_commands
from bundler.installer.engine import Engine, RunSpec
from bundler.installer.host import Host
from bundler.installer.journal import open_journal
from bundler.installer.load import load_images
from bundler.installer.names import name_all
from bundler.installer.preflight import preflight
from bundler.installer.prove import prove_image


def rehearse_mounted(
    checks: Sequence[RunCheck], image_ids: Mapping[Reference, Digest], engine: Engine, spec: RunSpec, progress: Progress
) -> tuple[CheckResult, ...]:
    """The results of ``run`` checks in images that hold no models, with the mounts and variables of ``spec``."""
    progress.step("rehearse: run checks with the models mounted, without a network")
    return run_commands(checks, image_ids, engine, progress, spec)


def load_named(kit: Path, engine: Engine, host_state: Path, progress: Progress) -> tuple[Reference, ...]:
    """Bring the kit's images into ``engine`` under their names, and nothing else of it; gives the names.

    Raises BundlerError, and then no name was moved.
    """
    facts = engine.facts()
    host = Host(host_state)
    with host.lock(), open_journal(host, kit, engine, facts.engine_id, progress) as journal:
        bundle = open_bundle(kit, host.policy)
        plan = preflight(bundle, engine, facts, journal.standing_blobs, progress)
        progress.step("load images into this engine")
        load_images(bundle, engine, plan, journal, progress)
        image_ids = {image.reference: prove_image(image, bundle.manifest, engine) for image in bundle.images}
        name_all(image_ids, engine, journal)
        journal.finish(image_ids.values())
    return tuple(image_ids)


def rehearse(kit: Path, engine: Engine, host_state: Path, progress: Progress) -> tuple[CheckResult, ...]:
    """The results of all checks of the kit at ``kit``, failed ones too; ``host_state`` takes a journal for the time.

    Raises BundlerError where the kit cannot be installed into ``engine`` at all.
    """
    facts = engine.facts()
    host = Host(host_state)
    with host.lock(), open_journal(host, kit, engine, facts.engine_id, progress) as journal:
        try:
            progress.step("rehearse: load images, without a name")
            engine.remove_leftovers()
            bundle = open_bundle(kit, host.policy)
            plan = preflight(bundle, engine, facts, journal.standing_blobs, progress)
            load_images(bundle, engine, plan, journal, progress)
            progress.step("rehearse: prove every image")
            image_ids = {image.reference: prove_image(image, bundle.manifest, engine) for image in bundle.images}
            progress.step("rehearse: run checks without a network")
            return run_checks(bundle.manifest, image_ids, engine, progress)
        finally:
            journal.forget_images(all_kits=True)
