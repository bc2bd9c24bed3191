"""``bundler report``: one page, and its JSON, for who decides about the transfer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Optional

import click

from bundler.cli.installer_options import json_option, make_engine, make_host, place_options
from bundler.core.bundle import open_bundle
from bundler.core.kit import TrustPolicy
from bundler.core.layout import SHA256SUMS
from bundler.core.report import Evidence, evidence_of_kit
from bundler.core.report.document import as_object
from bundler.core.report.files import write_report
from bundler.core.report.verdict import verdict_of
from bundler.installer.report import evidence_of_installed


@click.command()
@click.argument("subject", metavar="[KIT | NAME]", required=False)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    default=".",
    metavar="DIR|FILE",
    help="Where to write: a directory, or the page's own name, FILE.html [TITLE-report.html in this directory].",
)
@place_options
@json_option
def report(subject: Optional[str], output: Path, url: Optional[str], state_dir: Optional[Path], as_json: bool) -> int:
    """Write what was proved of a bundle, how, and what was not, as one page for people (and as JSON beside it).

    Of the kit at KIT: what its papers say, once they were compared with the kit's checksums. Of the installed bundle
    NAME, or of the only one that is installed: what its receipt says.
    """
    evidence = _evidence(subject, url, state_dir)
    page, document = write_report(evidence, output)
    if as_json:
        written = {"page": str(page), "json": str(document)}
        click.echo(json.dumps({"written": written, "report": as_object(evidence)}))
    else:
        click.echo(verdict_of(evidence).headline)
        click.echo(f"the page: {page}\nits JSON: {document}")
    return 0


def _evidence(subject: Optional[str], url: Optional[str], state_dir: Optional[Path]) -> Evidence:
    """A path that exists, or looks like one, is a kit's; a directory that only shares its name with a bundle is none."""
    if subject is not None and _is_kit(Path(subject)):
        return evidence_of_kit(open_bundle(Path(subject), TrustPolicy()))
    return evidence_of_installed(subject, make_engine(url), make_host(state_dir, 0.0))


def _is_kit(path: Path) -> bool:
    looks_like_one = len(path.parts) != 1 or path.suffix == ".tar"
    return looks_like_one or (path / SHA256SUMS).is_file()
