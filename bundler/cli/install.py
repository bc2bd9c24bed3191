"""``bundler install``: bring a kit into the container engine of this host."""

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
    where_in_code_option,
)
from bundler.cli.progress import make_progress
from bundler.cli.tables import human_time, table
from bundler.core.check_result import told_proofs, told_remarks
from bundler.core.digest import Digest
from bundler.core.errors import UsageError
from bundler.installer.install import InstallOptions, Outcome
from bundler.installer.install import install as install_kit
from bundler.installer.install import undo as undo_installs


@click.command()
@kit_argument()
@click.option(
    "--into",
    type=click.Path(path_type=Path, file_okay=False),
    help="Place payload files (compose.yaml, …) in this directory [files/TITLE below the state directory].",
)
@click.option("--read-all", is_flag=True, help="Read layers too that the engine holds already and need not be sent.")
@click.option("--undo", is_flag=True, help="Remove what an interrupted install left in the engine, and nothing else.")
@click.option("--force", is_flag=True, help="Replace payload files that stand in the way and differ.")
@where_in_code_option
@host_options
@json_option
@progress_option
def install(
    kit: Path,
    into: Optional[Path],
    read_all: bool,
    undo: bool,
    force: bool,
    where_in_code: bool,
    url: Optional[str],
    state_dir: Optional[Path],
    lock_timeout_s: float,
    as_json: bool,
    mode: str,
) -> int:
    """Bring the kit (or bare tar) at KIT into the container engine of this host: Docker 20.10 or later.

    Nothing gets its name before everything is verified, loaded, proved and checked; a failure at any step leaves
    names and files as they were. The same command again finishes what was interrupted.
    """
    if undo and (into or read_all or force or where_in_code):
        raise UsageError(
            "--undo goes with none of --into, --read-all, --force and --where-in-code",
            where="bundler install",
            remedy="run `bundler install --undo` alone",
        )
    host = make_host(state_dir, lock_timeout_s)
    engine = make_engine(url)
    progress = make_progress(mode)
    if undo:
        return _show_undone(undo_installs(kit, engine, host, progress), as_json=as_json)
    outcome = install_kit(kit, engine, host, InstallOptions(into, read_all, force, where_in_code), progress)
    _show(outcome, as_json=as_json)
    return 0


def _show_undone(removed: tuple[Digest, ...], *, as_json: bool) -> int:
    if as_json:
        click.echo(json.dumps({"removed": [str(image_id) for image_id in removed]}))
    elif removed:
        click.echo("removed: " + ", ".join(str(image_id) for image_id in removed))
    else:
        click.echo("nothing to undo")
    return 0


def _show(outcome: Outcome, *, as_json: bool) -> None:
    receipt = outcome.receipt
    if as_json:
        document = {key: value for key, value in receipt.to_json().items() if key != "bundle_json"}
        click.echo(json.dumps({"already": outcome.already, **document}, ensure_ascii=False))
        return
    rows = [(str(image.reference.familiar), str(image.engine_id)) for image in receipt.images]
    click.echo(table(("IMAGE", "ID"), rows))
    if not outcome.already:
        click.echo()
        checks = [(check.name, check.told, human_time(check.seconds)) for check in receipt.checks]
        click.echo(table(("CHECK", "RESULT", "TIME"), checks, right=(2,)))
        for line in (*told_remarks(receipt.checks), *told_proofs(receipt.checks)):
            click.echo(line)
    for file in receipt.files:
        click.echo(f"file: {file.path}")
    if receipt.unread:
        click.echo(f"not read again, the engine held them: {len(receipt.unread)} layers (--read-all reads them)")
    verb = "is installed already, and all of it stands: nothing to do" if outcome.already else "is installed"
    click.echo(f"{receipt.manifest.title} {verb}")
