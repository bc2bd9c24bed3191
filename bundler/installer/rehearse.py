"""The rehearsal: everything of an install but its traces, so that a bundle is proved before anyone carries it away.

No name, receipt or payload file is set; what the rehearsal brought into the engine is removed, whatever happens, and
what was there before stays.
"""

from __future__ import annotations

from pathlib import Path

from bundler.core.bundle import open_bundle
from bundler.core.check_result import CheckResult
from bundler.core.progress import Progress
from bundler.installer.checks import run_checks
from bundler.installer.engine import Engine
from bundler.installer.host import Host
from bundler.installer.journal import open_journal
from bundler.installer.load import load_images
from bundler.installer.preflight import preflight
from bundler.installer.prove import prove_image


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
