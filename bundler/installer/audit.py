"""``audit``: whether what was installed still stands as the bundle said, and whether the kit on the medium does.

Everything is compared with the receipt, which holds the bundle's own ``bundle.json``; so an audit needs no network,
and no kit. Nothing is changed but the log. What it does not see: files of an image that belong to no model. The engine
answers for those by the image's id and layer chain, which a file altered inside its store leaves as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Optional

from bundler.core.digest import Digest
from bundler.core.errors import (
    CHANGED,
    MISSING,
    BundleError,
    BundlerError,
    Difference,
    PreconditionError,
    Problem,
    SignatureError,
)
from bundler.core.kit import locate_kit
from bundler.core.layout import BUNDLE_JSON, HEAD
from bundler.core.progress import Progress
from bundler.core.verify import verify_kit
from bundler.installer import chained_log, receipts
from bundler.installer.audit_report import AuditReport, Finding
from bundler.installer.engine import Engine, EngineFacts
from bundler.installer.file_digest import digest_of
from bundler.installer.host import Host
from bundler.installer.model_files import compare_model
from bundler.installer.receipt import InstalledImage, Receipt


@dataclass
class _Findings:
    """What is gathered on the way."""

    found: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    kits: list[str] = field(default_factory=list)

    def add(self, kind: Difference, subject: str, where: str, what: str) -> None:
        self.found.append(Finding(kind, subject, where, what))

    def add_of_kit(self, problems: Iterable[Problem]) -> None:
        for problem in problems:
            self.add(problem.difference or CHANGED, "kit", problem.where, problem.what)


def audit(kit: Optional[Path], engine: Engine, host: Host, progress: Progress) -> AuditReport:
    """Audit the install of ``kit``, or of everything that was installed into this engine (None).

    Raises PreconditionError where there is no receipt to compare with; what differs stands in the report.
    """
    facts = engine.facts()
    with host.lock():
        audited = _receipts_for(kit, host, facts)
        findings = _Findings()
        for number in chained_log.broken_lines(host.log_path):
            findings.add(CHANGED, "log", f"{host.log_path}, line {number}", "does not follow from the line before it")
        for receipt in audited:
            progress.step(f"audit {receipt.manifest.title}")
            _audit_kit(kit or receipt.kit, kit is not None, receipt, host, findings, progress)
            for image in receipt.images:
                _audit_image(image, receipt, engine, findings, progress)
            _audit_files(receipt, findings)
        report = _report(audited, facts, findings)
        chained_log.append(host.log_path, {"event": "audit", **report.to_json()})
        return report


def _receipts_for(kit: Optional[Path], host: Host, facts: EngineFacts) -> tuple[Receipt, ...]:
    """The current receipts; with a kit, the one of that kit, however damaged the kit is."""
    current = receipts.current(host, facts.engine_id)
    if kit is not None:
        current = _receipts_of_kit(kit, host, current)
    if not current:
        what = "nothing was" if kit is None else "this bundle is not what was last"
        raise PreconditionError(
            f"{what} installed into this engine by bundler, as far as the receipts here say",
            where=str(host.receipts_dir(facts.engine_id)),
            remedy="install the kit first; or name the engine with --host, or the --state-dir that was used for it",
        )
    return current


def _receipts_of_kit(kit: Path, host: Host, current: Sequence[Receipt]) -> tuple[Receipt, ...]:
    """The receipt of the bundle's name, or else of the kit's place; BundlerError for no kit that has no receipt."""
    in_place = tuple(receipt for receipt in current if receipt.kit.resolve() == kit.resolve())
    try:
        title = locate_kit(kit, host.policy).tar.stem
    except (BundleError, PreconditionError, SignatureError):
        # Its frame is damaged, which is for the audit to say: the directory has the bundle's name unless it was renamed.
        title = kit.resolve().name if kit.is_dir() else ""
        found = _titled(title, current) or in_place
        if not found:
            raise
        return found
    return _titled(title, current) or in_place


def _titled(title: str, current: Sequence[Receipt]) -> tuple[Receipt, ...]:
    return tuple(receipt for receipt in current if receipt.manifest.title == title)


def _audit_kit(path: Path, asked: bool, receipt: Receipt, host: Host, findings: _Findings, progress: Progress) -> None:
    """The kit's bytes against its sums, and the kit against the receipt."""
    if not asked and not path.exists():
        findings.notes.append(f"{receipt.manifest.title}: the kit is no longer at {path}; only the receipt was used")
        return
    findings.kits.append(str(path))
    try:
        report = verify_kit(path, host.policy, progress)
        digest = _bundle_digest(path, host)
    except (BundleError, PreconditionError, SignatureError) as error:
        findings.add_of_kit(error.as_problems())
        return
    findings.add_of_kit(report.problems)
    if digest is not None and digest != receipt.bundle_digest:
        findings.add(CHANGED, "kit", str(path), "is another bundle than the one that was installed")


def _bundle_digest(path: Path, host: Host) -> Optional[Digest]:
    """The digest of the kit's ``bundle.json``; None for a bare tar, whose content was compared with itself alone."""
    kit = locate_kit(path, host.policy)
    return digest_of(kit.directory / HEAD / BUNDLE_JSON) if kit.directory else None


def _audit_image(
    image: InstalledImage, receipt: Receipt, engine: Engine, findings: _Findings, progress: Progress
) -> None:
    """The image under its name: id, layers, and each model file in a created container."""
    where = str(image.reference)
    held = engine.find(image.reference)
    if held is None:
        findings.add(MISSING, "image", where, "the engine has no image of that name")
        return
    if held.image_id != image.engine_id:
        findings.add(CHANGED, "image", where, f"stands for {held.image_id}; should be {image.engine_id}")
        return
    if held.diff_ids != image.diff_ids:
        findings.add(CHANGED, "image", where, "has other layers than were installed")
        return
    try:
        _audit_models(image, receipt, engine, findings, progress)
    except BundlerError as error:
        findings.add(CHANGED, "image", where, f"no container can be made and read of it: {error.what}")


def _audit_models(
    image: InstalledImage, receipt: Receipt, engine: Engine, findings: _Findings, progress: Progress
) -> None:
    entry = next(entry for entry in receipt.manifest.images if entry.reference == image.reference)
    # Also for an image without a model: an engine that lost one of its layers cannot make a container of it.
    with engine.created(image.engine_id) as container:
        for name in entry.models:
            model = receipt.manifest.model(name)
            size = sum(file.size for file in model.files)
            with progress.task(f"{image.reference.familiar} {name}", size) as task:
                for item in compare_model(container, model, task):
                    findings.add(item.kind, "model", f"{image.reference} {item.path}", item.what)


def _audit_files(receipt: Receipt, findings: _Findings) -> None:
    for file in receipt.files:
        found = digest_of(file.path)
        if found == file.sha256:
            continue
        if found is None and not file.path.exists() and not file.path.is_symlink():
            findings.add(MISSING, "file", str(file.path), "was placed, and is gone")
        else:
            seen = f"sha256 {found.hex}" if found else "not a regular file"
            findings.add(CHANGED, "file", str(file.path), f"{seen}; should be {file.sha256.hex}")


def _report(audited: Sequence[Receipt], facts: EngineFacts, findings: _Findings) -> AuditReport:
    entries = [entry for receipt in audited for entry in receipt.manifest.images]
    models = [receipt.manifest.model(name) for receipt in audited for e in receipt.manifest.images for name in e.models]
    return AuditReport(
        audited_at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        engine=f"{facts.name} {facts.version} ({facts.store})",
        engine_id=facts.engine_id,
        bundles=tuple(receipt.manifest.title for receipt in audited),
        images=len(entries),
        model_files=sum(len(model.files) for model in models),
        payload_files=sum(len(receipt.files) for receipt in audited),
        kits=tuple(findings.kits),
        findings=tuple(findings.found),
        notes=tuple(findings.notes),
    )
