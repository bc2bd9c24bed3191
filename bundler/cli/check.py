"""``bundler check``: run checks without a network, of what is installed, of a kit, or of an image."""

from __future__ import annotations

import importlib
import importlib.util
import json
from pathlib import Path
from typing import Any, Optional

import click

from bundler.cli.installer_options import (
    host_options,
    json_option,
    make_engine,
    make_host,
    progress_option,
    where_in_code_option,
)
from bundler.cli.parameters import FiniteRange
from bundler.cli.progress import make_progress
from bundler.cli.tables import human_time, table
from bundler.core.check_result import advice_on_places, told_proofs, told_remarks
from bundler.core.errors import CheckError, PreconditionError, UsageError
from bundler.core.progress import Progress
from bundler.core.reference import Reference
from bundler.installer.check import Checked, Wanted, check_image, check_installed, check_kit, is_installed
from bundler.installer.engine import Engine
from bundler.installer.host import Host

#: A kit's checks have a journal and a lock of their own, so that they never meet an install that was interrupted.
_KITS = "checked-kits"


@click.command()
@click.argument("target", required=False, metavar="[NAME|KIT|IMAGE]")
@click.option(
    "--recipe",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Run this recipe's checks, and take the models from its lock.",
)
@click.option(
    "--watch",
    "watch_s",
    type=FiniteRange(min=0, min_open=True),
    default=10.0,
    metavar="SECONDS",
    help="How long to listen to an image that nobody wrote checks for [10].",
)
@where_in_code_option
@host_options
@json_option
@progress_option
def check(
    target: Optional[str],
    recipe: Optional[Path],
    watch_s: float,
    where_in_code: bool,
    url: Optional[str],
    state_dir: Optional[Path],
    lock_timeout_s: float,
    as_json: bool,
    mode: str,
) -> int:
    """Run checks in containers without a network, and listen to what they try to reach.

    Of the installed bundle NAME, or of all; of a KIT, which is loaded for the time without a name; or of any IMAGE that
    the engine holds. An image is checked by the recipe that is given; without one it is started as in production and
    listened to. Exit code 9 where something fails.
    """
    host = make_host(state_dir, lock_timeout_s)
    checked = _checked(target, recipe, watch_s, where_in_code, make_engine(url), host, make_progress(mode))
    if as_json:
        results = {each.title: [result.to_json() for result in each.results] for each in checked}
        click.echo(json.dumps(results, ensure_ascii=False))
    else:
        click.echo("\n\n".join(_as_text(each) for each in checked))
        for advice in advice_on_places([result for each in checked for result in each.results], "bundler check"):
            click.echo(advice)
    failed = any(result.failed for each in checked for result in each.results)
    return CheckError.exit_code if failed else 0


def _checked(
    target: Optional[str],
    recipe: Optional[Path],
    watch_s: float,
    where_in_code: bool,
    engine: Engine,
    host: Host,
    progress: Progress,
) -> tuple[Checked, ...]:
    """What ``target`` is, is seen in this order: a path that is there, an installed bundle, an image."""
    if target is not None and Path(target).exists():
        own = Host(host.state / _KITS, host.policy, host.lock_timeout_s)
        checks = _claims().checks_of(recipe) if recipe else None
        return (check_kit(Path(target), checks, engine, own, progress, where_in_code=where_in_code),)
    if target is None or is_installed(target, engine, host):
        if recipe is not None:
            raise UsageError(
                "what is installed carries its own checks",
                where="--recipe",
                remedy="name a kit or an image with it; or leave it out",
            )
        return check_installed(target, engine, host, progress, where_in_code=where_in_code)
    reference = _reference(target)
    wanted = Wanted(*_claims().claims_of(recipe, reference)) if recipe else None
    return (check_image(reference, wanted, watch_s, engine, host, progress, where_in_code=where_in_code),)


def _reference(target: str) -> Reference:
    try:
        return Reference.parse(target).tagged()
    except ValueError as error:
        raise UsageError(
            f"{target!r} is neither a kit, nor an installed bundle, nor the name of an image: {error}",
            where="bundler check",
            remedy="name a kit's directory, a bundle that is installed, or an image as NAME:TAG",
        ) from error


def _claims() -> Any:  # noqa: ANN401 - the module, which the loader does not carry and must not import
    name = "bundler.builder.image_claims"
    if importlib.util.find_spec(name.rpartition(".")[0]) is None:
        raise PreconditionError(
            "this bundler reads no recipes",
            where="--recipe",
            remedy="leave it out: a kit carries its checks; or use airgap-bundler as it is installed where kits are built",
        )
    return importlib.import_module(name)


def _as_text(bundle: Checked) -> str:
    rows = [(result.name, result.told, human_time(result.seconds)) for result in bundle.results]
    remarks, proofs = told_remarks(bundle.results), told_proofs(bundle.results)
    return "\n".join([bundle.title, table(("CHECK", "RESULT", "TIME"), rows, right=(2,)), *remarks, *proofs])
