"""``bundler check``: run an installed bundle's checks without a network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Optional

import click

from bundler.cli.installer_options import (
    host_options,
    json_option,
    make_engine,
    make_host,
    progress_option,
    where_in_code_option,
)
from bundler.cli.progress import make_progress
from bundler.cli.tables import human_time, table
from bundler.core.check_result import advice_on_places, told_proofs
from bundler.core.errors import CheckError
from bundler.installer.check import Checked, check_installed


@click.command()
@click.argument("name", required=False)
@where_in_code_option
@host_options
@json_option
@progress_option
def check(
    name: Optional[str],
    where_in_code: bool,
    url: Optional[str],
    state_dir: Optional[Path],
    lock_timeout_s: float,
    as_json: bool,
    mode: str,
) -> int:
    """Run the checks of the installed bundle NAME, or of all, in containers without a network.

    Exit code 9 where one fails.
    """
    host = make_host(state_dir, lock_timeout_s)
    checked = check_installed(name, make_engine(url), host, make_progress(mode), where_in_code=where_in_code)
    if as_json:
        results = {bundle.title: [result.to_json() for result in bundle.results] for bundle in checked}
        click.echo(json.dumps(results, ensure_ascii=False))
    else:
        click.echo("\n\n".join(_as_text(bundle) for bundle in checked))
        for advice in advice_on_places([result for bundle in checked for result in bundle.results], "bundler check"):
            click.echo(advice)
    failed = any(result.failed for bundle in checked for result in bundle.results)
    return CheckError.exit_code if failed else 0


def _as_text(bundle: Checked) -> str:
    rows = [(result.name, result.told, human_time(result.seconds)) for result in bundle.results]
    told = [f"{result.name}: {result.detail}" for result in bundle.results if not result.passed]
    proofs = told_proofs(bundle.results)
    return "\n".join([bundle.title, table(("CHECK", "RESULT", "TIME"), rows, right=(2,)), *told, *proofs])
