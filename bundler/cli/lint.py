"""``bundler lint``: whether sources look for models elsewhere than where the recipe puts them."""

from __future__ import annotations

import json
from pathlib import Path

import click

from bundler.builder.source_policy.lint import LintReport, lint_paths
from bundler.cli.installer_options import json_option
from bundler.core.errors import CheckError


@click.command()
@click.argument("paths", metavar="PATH...", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@json_option
def lint(paths: tuple[Path, ...], as_json: bool) -> int:
    """Find what would reach for the Hub, or another network, when a service runs: fallbacks, downloads, addresses.

    Reads Python, shell scripts, Dockerfiles and YAML at and below each PATH, and runs nothing. Exit code 9 where
    something is found.
    """
    report = lint_paths(paths)
    click.echo(json.dumps(report.to_json(), ensure_ascii=False) if as_json else as_text(report))
    return CheckError.exit_code if report.findings else 0


def as_text(report: LintReport) -> str:
    """The report for people: a block a finding, what was waived and why, and the count."""
    blocks = [
        f"{finding.where}: {finding.rule}: {finding.what}\n    why: {finding.why}\n    instead: {finding.instead}"
        for finding in report.findings
    ]
    blocks += [f"{each.finding.where}: {each.finding.rule}: waived: {each.reason}" for each in report.waived]
    found = len(report.findings)
    files = "1 file" if report.files == 1 else f"{report.files} files"
    counted = f"{files} read, {found or 'no'} finding{'' if found == 1 else 's'}"
    return "\n".join([*blocks, counted + (f", {len(report.waived)} waived" if report.waived else "")])
