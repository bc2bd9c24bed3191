"""``bundler audit``: compare what is installed, and the kit on the medium, with what was verified at the install."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Optional

import click

from bundler.cli.installer_options import (
    host_options,
    json_option,
    kit_argument,
    make_engine,
    make_host,
    progress_option,
)
from bundler.cli.progress import make_progress
from bundler.core.errors import CheckError
from bundler.installer.audit import audit as audit_host
from bundler.installer.audit_report import KINDS, AuditReport


@click.command()
@kit_argument(default=None)
@host_options
@json_option
@progress_option
def audit(
    kit: Optional[Path],
    url: Optional[str],
    state_dir: Optional[Path],
    lock_timeout_s: float,
    as_json: bool,
    mode: str,
) -> int:
    """Compare what is installed with what it should be: images, layers, every model file, payload files, the kit.

    Without KIT everything that was installed into this engine is audited, each with its kit where that still stands
    where it was. Exit code 9 where anything is missing, extra or changed.
    """
    host = make_host(state_dir, lock_timeout_s)
    report = audit_host(kit, make_engine(url), host, make_progress(mode))
    click.echo(json.dumps(report.to_json(), ensure_ascii=False) if as_json else as_text(report))
    return CheckError.exit_code if report.findings else 0


def as_text(report: AuditReport) -> str:
    """The report for people: what was compared, then the three lists."""
    lines = [
        f"audited at {report.audited_at} in {report.engine}: {', '.join(report.bundles)}",
        f"compared: {report.images} images, {report.model_files} model files, {report.payload_files} payload files,"
        f" {len(report.kits)} kits",
        *(f"note: {note}" for note in report.notes),
    ]
    for kind in KINDS:
        found = report.of_kind(kind)
        if found:
            lines.append(f"{kind}:")
            lines += [f"  {item.subject} {item.where}: {item.what}" for item in found]
    lines.append(f"{len(report.findings)} differences" if report.findings else "no differences")
    return "\n".join(lines)
