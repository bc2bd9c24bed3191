"""``bundler cache``: what was downloaded and packed on this host, whether it is right, and how to get rid of it."""

from __future__ import annotations

import json
import time
from pathlib import Path

import click

from bundler.builder.cache import default_cache
from bundler.builder.cache_care import CacheState, cache_state, damaged_objects, incomplete, prune, remove_damaged
from bundler.builder.supply import DownloadSettings, refetch
from bundler.cli.download_options import download_options
from bundler.cli.installer_options import json_option, progress_option
from bundler.cli.parameters import FiniteRange
from bundler.cli.progress import make_progress
from bundler.cli.tables import human_size, table
from bundler.core.errors import CheckError, Problem


@click.group()
def cache() -> None:
    """List, verify, repair or prune what was downloaded."""


@cache.command("list")
@json_option
def list_models(as_json: bool) -> None:
    """Show the models that are here, and what takes the space."""
    state = cache_state(default_cache())
    click.echo(json.dumps(_state_as_object(state)) if as_json else _render_state(state))


@cache.command()
@json_option
@progress_option
def verify(as_json: bool, mode: str) -> None:
    """Read every model file, and compare it with its digest."""
    found = damaged_objects(default_cache(), make_progress(mode))
    _require_none(found, "run `bundler cache repair`: what is damaged is removed and fetched again")
    click.echo(json.dumps({"damaged": []}) if as_json else "every model file is what it is called")


@cache.command()
@download_options
@json_option
@progress_option
def repair(download: DownloadSettings, as_json: bool, mode: str) -> None:
    """Remove model files that are damaged, and fetch again what models that were here lack."""
    where, progress = default_cache(), make_progress(mode)
    damaged = damaged_objects(where, progress)
    remove_damaged(damaged)
    lacking = incomplete(where)
    for entry in lacking:
        refetch(entry, download, where.root, progress)
    result = {"removed": [problem.where for problem in damaged], "fetched": [entry.model.told for entry in lacking]}
    click.echo(json.dumps(result) if as_json else _render_repair(result))


@cache.command("prune")
@click.option("--days", type=FiniteRange(min=0), default=30.0, show_default=True, help="Keep what is younger.")
@click.option("--all", "everything", is_flag=True, help="Keep nothing.")
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
@json_option
def prune_cache(days: float, everything: bool, dry_run: bool, as_json: bool) -> None:
    """Remove models, packed layers and unfinished downloads that no run has used for some time."""
    pruned = prune(default_cache(), -1.0 if everything else days, dry_run=dry_run)
    if as_json:
        click.echo(
            json.dumps({"removed": [str(path) for path in pruned.paths], "size": pruned.size, "dry_run": dry_run})
        )
    else:
        done = "would be removed" if dry_run else "removed"
        click.echo(f"{len(pruned.paths)} files, {human_size(pruned.size)}, {done}")


def _require_none(found: tuple[Problem, ...], remedy: str) -> None:
    if found:
        count = "one model file is" if len(found) == 1 else f"{len(found)} model files are"
        raise CheckError(f"{count} damaged", where=str(Path(found[0].where).parents[1]), remedy=remedy, problems=found)


def _state_as_object(state: CacheState) -> dict[str, object]:
    return {
        "cache": str(state.root),
        "sizes": dict(state.sizes),
        "models": [
            {
                "name": model.name,
                "model": model.told,
                "recipe": model.recipe,
                "size": model.size,
                "here": model.here,
                "used": model.used,
            }
            for model in state.models
        ],
    }


def _render_state(state: CacheState) -> str:
    models = [
        (
            model.told,
            human_size(model.size),
            "whole" if model.here == model.size else human_size(model.here),
            time.strftime("%Y-%m-%d %H:%M", time.localtime(model.used)),
            model.recipe,
        )
        for model in state.models
    ]
    sizes = [(name, human_size(size)) for name, size in state.sizes]
    return "\n\n".join(
        [
            table(("MODEL", "SIZE", "HERE", "USED", "RECIPE"), models, right=(1, 2)) if models else "no models",
            table((f"{state.root}", "SIZE"), sizes, right=(1,)),
        ]
    )


def _render_repair(result: dict[str, list[str]]) -> str:
    lines = [*(f"removed: {path}" for path in result["removed"]), *(f"fetched: {told}" for told in result["fetched"])]
    return "\n".join(lines) or "there was nothing to repair"
