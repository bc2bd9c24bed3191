"""``bundler verify``: read every byte of a kit and compare it with its checksums."""

from __future__ import annotations

import json
from pathlib import Path

import click

from bundler.cli.installer_options import json_option, kit_argument, progress_option
from bundler.cli.progress import make_progress
from bundler.cli.tables import human_size
from bundler.core.errors import CHANGED, BundleError
from bundler.core.kit import TrustPolicy, remedy_of
from bundler.core.verify import VerifyReport, verify_kit


@click.command()
@kit_argument()
@json_option
@progress_option
def verify(kit: Path, as_json: bool, mode: str) -> int:
    """Read every byte of the kit (or bare tar) at KIT and compare it with its checksums, digests and diff_ids.

    Every problem is reported; exit code 6 where there is one. Nothing is changed, and no engine is needed. With
    --json the report is printed either way.
    """
    report = verify_kit(kit, TrustPolicy(), make_progress(mode))
    if as_json:
        click.echo(json.dumps(_as_object(report), ensure_ascii=False))
    if report.problems:
        count = len(report.problems)
        raise BundleError(
            f"{report.title} has {count} problem{'s' if count > 1 else ''}",
            where=str(kit),
            remedy=remedy_of(report.problems),
            problems=report.problems,
        )
    if not as_json:
        signed = "signed" if report.signed else "not signed: this shows integrity, not who made it"
        click.echo(f"{report.title}: {report.members} members, {human_size(report.read_size)}, all as they should be")
        click.echo(signed)
    return 0


def _as_object(report: VerifyReport) -> dict[str, object]:
    return {
        "title": report.title,
        "path": str(report.path),
        "members": report.members,
        "read_size": report.read_size,
        "tar_sum": str(report.tar_sum) if report.tar_sum else None,
        "signed": report.signed,
        "problems": [
            {"kind": problem.difference or CHANGED, "where": problem.where, "what": problem.what, "do": problem.remedy}
            for problem in report.problems
        ],
    }
