"""``install``: from a kit to named, proved and checked images, or to the host as it was.

The page reads as the list of the steps. Names are moved last: nothing has one before every image stands, is proved
and has passed its checks. The receipt ends the run.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Optional

from bundler import __version__
from bundler.core.bundle import VerifiedBundle, open_bundle
from bundler.core.check_result import CheckResult
from bundler.core.digest import Digest
from bundler.core.layout import blob_name
from bundler.core.progress import Progress
from bundler.core.reference import Reference
from bundler.installer import chained_log, receipts
from bundler.installer.checks.running import require_passed, run_checks
from bundler.installer.engine import Engine, EngineFacts
from bundler.installer.file_digest import digest_of
from bundler.installer.host import Host
from bundler.installer.journal import Journal, open_journal
from bundler.installer.journal_file import read_entries
from bundler.installer.load import load_images, read_layers, unread_layers
from bundler.installer.names import name_all
from bundler.installer.payload import FilePlan, place_files, plan_files
from bundler.installer.preflight import preflight, require_space_for_files
from bundler.installer.prove import prove_image
from bundler.installer.receipt import InstalledImage, PlacedFile, Receipt


@dataclass(frozen=True)
class InstallOptions:
    """``into``: the place of payload files, None for the host's own; ``read_all``: read held members too;
    ``force``: replace payload files that differ; ``where_in_code``: hook Python processes of checks."""

    into: Optional[Path] = None
    read_all: bool = False
    force: bool = False
    where_in_code: bool = False


@dataclass(frozen=True)
class Outcome:
    """The receipt that stands, and whether this run had anything to do."""

    receipt: Receipt
    already: bool


def install(kit: Path, engine: Engine, host: Host, options: InstallOptions, progress: Progress) -> Outcome:
    """Install the kit (or bare tar) at ``kit``. Raises BundlerError, and then the host is as it was."""
    progress.step("look at the engine and the kit")
    facts = engine.facts()
    with host.lock(), open_journal(host, kit, engine, facts.engine_id, progress) as journal:
        engine.remove_leftovers()
        bundle = open_bundle(kit, host.policy)
        standing = _standing_receipt(bundle, engine, facts, host, options)
        if standing is not None:
            progress.note(f"nothing to do: {bundle.manifest.title} is installed, and all of it stands")
            journal.finish(image.engine_id for image in standing.images)
            return Outcome(standing, already=True)
        files = _plan_files(bundle, host, facts, options)
        vouched = receipts.vouched_blobs(host, engine, facts.engine_id) | journal.standing_blobs
        plan = preflight(bundle, engine, facts, vouched, progress)
        progress.step("load images, without a name")
        sent = load_images(bundle, engine, plan, journal, progress)
        unread = unread_layers(bundle, sent)
        if options.read_all:
            progress.step("read what the engine holds already")
            read_layers(bundle, unread, progress)
            unread = ()
        progress.step("prove every image")
        image_ids = {image.reference: prove_image(image, bundle.manifest, engine) for image in bundle.images}
        progress.step("run checks without a network")
        results = run_checks(bundle.manifest, image_ids, engine, progress, where_in_code=options.where_in_code)
        require_passed(results, bundle.manifest.title)
        progress.step("place payload files")
        placed = place_files(bundle, files, journal, progress)
        progress.step("name images")
        name_all(image_ids, engine, journal)
        members = tuple(blob_name(layer.blob.digest) for layer in unread)
        receipt = _receipt(bundle, journal, facts, image_ids, placed, files, results, members)
        receipts.record(host, receipt)
        journal.finish(image_ids.values())
        chained_log.append(host.log_path, _event(receipt))
        return Outcome(receipt, already=False)


def undo(kit: Path, engine: Engine, host: Host, progress: Progress) -> tuple[Digest, ...]:
    """Undo what interrupted installs into this engine began; gives the ids of the images that were removed."""
    facts = engine.facts()
    with host.lock():
        path = host.journal_path(facts.engine_id)
        for other in sorted(path.parent.glob("*.json")):
            if other != path:
                progress.note(f"an install into another engine was begun and not finished: {other}")
        began = read_entries(path)
        with open_journal(host, kit, engine, facts.engine_id, progress) as journal:
            engine.remove_leftovers()
            journal.forget_images(all_kits=True)
    return tuple(image_id for image_id, image in began.images.items() if image.blobs) if began else ()


def _standing_receipt(
    bundle: VerifiedBundle, engine: Engine, facts: EngineFacts, host: Host, options: InstallOptions
) -> Optional[Receipt]:
    """The receipt of this very bundle, if all that it speaks of stands: names, ids, layers, payload files."""
    receipt = receipts.current_of(host, facts.engine_id, bundle.manifest.name)
    if receipt is None or receipt.manifest_bytes != bundle.manifest_bytes or (options.read_all and receipt.unread):
        return None
    if receipt.into != _directory(bundle, host, options):
        return None
    for installed in receipt.images:
        held = engine.find(installed.reference)
        if held is None or held.image_id != installed.engine_id or held.diff_ids != installed.diff_ids:
            return None
    vouched = receipts.vouched_blobs(host, engine, facts.engine_id)
    if any(engine.held(image, vouched) < len(image.layers) for image in bundle.images):
        return None
    return receipt if all(digest_of(file.path) == file.sha256 for file in receipt.files) else None


def _directory(bundle: VerifiedBundle, host: Host, options: InstallOptions) -> Optional[Path]:
    """Where payload files go; None where the bundle has none."""
    if not bundle.manifest.files:
        return None
    directory = options.into or host.payload_dir(bundle.manifest.title)
    return Path(os.path.abspath(directory))  # noqa: PTH100 - resolve() would follow links that a person chose


def _plan_files(bundle: VerifiedBundle, host: Host, facts: EngineFacts, options: InstallOptions) -> FilePlan:
    directory = _directory(bundle, host, options)
    if directory is None:
        return FilePlan(host.state, (), ())
    former = receipts.current_of(host, facts.engine_id, bundle.manifest.name)
    plan = plan_files(bundle, directory, former.files if former else (), force=options.force)
    require_space_for_files(plan.directory, plan.new_size)
    return plan


def _receipt(
    bundle: VerifiedBundle,
    journal: Journal,
    facts: EngineFacts,
    image_ids: Mapping[Reference, Digest],
    placed: tuple[PlacedFile, ...],
    files: FilePlan,
    results: tuple[CheckResult, ...],
    unread: tuple[str, ...],
) -> Receipt:
    images = tuple(
        InstalledImage(
            image.reference, image_ids[image.reference], image.image_id, image.manifest_digest, image.diff_ids
        )
        for image in bundle.images
    )
    return Receipt(
        run_id=journal.run_id,
        installed_at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        installed_by=f"bundler {__version__}",
        kit=(bundle.kit.directory or bundle.kit.tar).absolute(),
        tar_sum=bundle.kit.tar_sum,
        manifest_bytes=bundle.manifest_bytes,
        manifest=bundle.manifest,
        engine=facts,
        images=images,
        files=placed,
        into=files.directory if placed else None,
        checks=results,
        unread=unread,
    )


def _event(receipt: Receipt) -> dict[str, object]:
    return {
        "event": "install",
        "at": receipt.installed_at,
        "bundle": receipt.manifest.title,
        "bundle_digest": str(receipt.bundle_digest),
        "engine_id": receipt.engine.engine_id,
        "run_id": receipt.run_id,
    }
