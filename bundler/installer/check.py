"""``check``: run checks once more, in containers without a network. Nothing that stands is changed.

Of what is installed, of a kit that is loaded for the time without a name, or of any image that an engine holds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Optional

from bundler.core.bundle_manifest import BundledModel, BundleManifest
from bundler.core.check_result import CheckResult
from bundler.core.checks import AnyCheck
from bundler.core.digest import Digest
from bundler.core.errors import CheckError, PreconditionError
from bundler.core.progress import Progress
from bundler.core.quiet_environment import told_loud
from bundler.core.reference import Reference
from bundler.installer import receipts
from bundler.installer.checks.models import check_models
from bundler.installer.checks.running import paths_of, run_checks, run_commands
from bundler.installer.checks.start import check_start
from bundler.installer.engine import Engine
from bundler.installer.host import Host
from bundler.installer.receipt import Receipt
from bundler.installer.rehearse import loaded


@dataclass(frozen=True)
class Checked:
    """The results of one bundle's or one image's checks."""

    title: str
    results: tuple[CheckResult, ...]


@dataclass(frozen=True)
class Wanted:
    """What an image has to show, as a recipe says: the models in it, and checks that are run in it."""

    models: tuple[BundledModel, ...]
    checks: tuple[AnyCheck, ...]


def check_installed(
    name: Optional[str], engine: Engine, host: Host, progress: Progress, *, where_in_code: bool = False
) -> tuple[Checked, ...]:
    """The results for the bundle called ``name``, or for all that were installed into this engine (None).

    ``where_in_code`` here and below hooks Python processes, so that attempts to call out are told with their lines.
    Raises PreconditionError where nothing of that name was installed, CheckError where an image of it is gone or its
    name was moved: then there is nothing to run the checks in.
    """
    engine_id = engine.facts().engine_id
    with host.lock():
        engine.remove_leftovers()
        found = [receipt for receipt in receipts.current(host, engine_id) if name in {None, receipt.manifest.name}]
        if not found:
            raise PreconditionError(
                f"nothing called {name} was installed into this engine" if name else "nothing was installed here",
                where=str(host.receipts_dir(engine_id)),
                remedy="install the kit first; or name the engine with --host, or the --state-dir that was used for it",
            )
        return tuple(_check_receipt(receipt, engine, progress, where_in_code=where_in_code) for receipt in found)


def is_installed(name: str, engine: Engine, host: Host) -> bool:
    """Whether a bundle of that name was installed into ``engine``."""
    return any(receipt.manifest.name == name for receipt in receipts.current(host, engine.facts().engine_id))


def _check_receipt(receipt: Receipt, engine: Engine, progress: Progress, *, where_in_code: bool) -> Checked:
    progress.step(f"check {receipt.manifest.title}")
    image_ids: dict[Reference, Digest] = {}
    for image in receipt.images:
        held = engine.find(image.reference)
        if held is None or held.image_id != image.engine_id:
            raise CheckError(
                "the image is gone" if held is None else f"the name stands for another image, {held.image_id}",
                where=str(image.reference),
                remedy="see `bundler audit`; installing the kit again puts it right",
            )
        image_ids[image.reference] = image.engine_id
    results = run_checks(receipt.manifest, image_ids, engine, progress, where_in_code=where_in_code)
    return Checked(receipt.manifest.title, results)


def check_kit(
    kit: Path,
    checks: Optional[Sequence[AnyCheck]],
    engine: Engine,
    host: Host,
    progress: Progress,
    *,
    where_in_code: bool = False,
) -> Checked:
    """The results for the kit at ``kit``, loaded without a name and removed again; ``checks`` in place of its own.

    Raises BundlerError where it cannot be loaded, CheckError where one of ``checks`` is for an image it does not hold.
    """
    with loaded(kit, engine, host, "check", progress) as (manifest, image_ids):
        progress.step("check: run checks without a network")
        wanted = manifest if checks is None else _with_checks(manifest, checks, image_ids)
        results = run_checks(wanted, image_ids, engine, progress, where_in_code=where_in_code)
        return Checked(manifest.title, results)


def _with_checks(
    manifest: BundleManifest, checks: Sequence[AnyCheck], image_ids: Mapping[Reference, Digest]
) -> BundleManifest:
    for check in checks:
        if check.image not in image_ids:
            raise CheckError(
                f"the recipe's check {check.name} is for an image that the kit does not hold",
                where=str(check.image),
                remedy="name the kit that was built from this recipe",
            )
    return replace(manifest, checks=tuple(checks))


def check_image(
    reference: Reference,
    wanted: Optional[Wanted],
    watch_s: float,
    engine: Engine,
    host: Host,
    progress: Progress,
    *,
    where_in_code: bool = False,
) -> Checked:
    """The results for any image of the engine: what is ``wanted`` of it, or where nobody says, how it starts.

    Without ``wanted`` it is started as in production and listened to for ``watch_s`` seconds. Raises
    PreconditionError where the engine holds no such image.
    """
    with host.lock():
        engine.remove_leftovers()
        held = engine.find(reference)
        if held is None:
            raise PreconditionError(
                f"neither a kit nor an installed bundle nor an image is called {reference.familiar}",
                where="this host and its engine",
                remedy="name a kit's directory, a bundle that `bundler audit` lists, or an image of the engine",
            )
        where = reference.familiar
        progress.step(f"check {where} without a network")
        for what in told_loud(held.config.variables):
            progress.note(f"warning: {where}: {what}: its libraries may look for models on the Hub")
        if wanted is None:
            started = check_start(where, held.image_id, watch_s, engine, progress, where_in_code=where_in_code)
            return Checked(where, (started,))
        models = check_models(wanted.models, where, held.image_id, engine, progress)
        image_ids = {check.image: held.image_id for check in wanted.checks}
        ran = run_commands(
            wanted.checks,
            image_ids,
            engine,
            progress,
            model_paths=[model.path for model in wanted.models],
            model_files=dict.fromkeys(image_ids, paths_of(wanted.models)),
            where_in_code=where_in_code,
        )
        return Checked(where, (*models, *ran))
