"""``bundler fetch``: the models of a recipe into the cache, or what that would take."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import click

from bundler.builder.cache import default_cache
from bundler.builder.download import DownloadPlan, ModelSettings, fetch_models, plan_download
from bundler.builder.hub.fetch import Snapshot
from bundler.builder.supply import DownloadSettings
from bundler.cli.build_arguments import build_arg_option, pairs
from bundler.cli.download_options import download_options
from bundler.cli.installer_options import json_option, lock_timeout_option, progress_option
from bundler.cli.progress import make_progress
from bundler.cli.tables import human_size, table


@click.command()
@click.argument("recipe", type=click.Path(path_type=Path))
@click.option("--dry-run", is_flag=True, help="Show what would be downloaded, from where, and what it takes.")
@click.option("--locked", is_flag=True, help="End if recipe.lock is missing or not what the recipe asks for.")
@build_arg_option
@download_options
@lock_timeout_option("another run of this name")
@json_option
@progress_option
def fetch(
    recipe: Path,
    dry_run: bool,
    locked: bool,
    build_args: tuple[str, ...],
    download: DownloadSettings,
    lock_timeout_s: float,
    as_json: bool,
    mode: str,
) -> None:
    """Download the models of RECIPE into the cache, and compare every byte; nothing is built.

    Run it again after a failure: it goes on from what is here.
    """
    settings = ModelSettings(default_cache(), download, pairs(build_args), lock_timeout_s)
    progress = make_progress(mode)
    if dry_run:
        plan = plan_download(recipe, settings, progress, only_locked=locked)
        click.echo(json.dumps(plan_as_object(plan)) if as_json else render_plan(plan))
        return
    snapshots = fetch_models(recipe, settings, progress, only_locked=locked)
    click.echo(json.dumps(as_object(snapshots)) if as_json else render(snapshots))


def as_object(snapshots: Sequence[Snapshot]) -> dict[str, object]:
    """The result for programs: where each file stands, sizes in bytes."""
    return {
        "models": [
            {
                "name": each.model.name,
                "repo_id": each.model.repo_id,
                "commit": each.model.commit,
                "files": [
                    {"path": file.path, "size": file.size, "sha256": file.sha256, "place": str(each.path(file))}
                    for file in each.model.files
                ],
            }
            for each in snapshots
        ]
    }


def render(snapshots: Sequence[Snapshot]) -> str:
    """One line a model."""
    rows = [
        (each.model.name, each.model.told, str(len(each.model.files)), human_size(each.model.size))
        for each in snapshots
    ]
    return table(("MODEL", "COMMIT", "FILES", "SIZE"), rows, right=(2, 3))


def plan_as_object(plan: DownloadPlan) -> dict[str, object]:
    """The plan for programs: sizes in bytes."""
    return {
        "cache": str(plan.cache),
        "needed_size": plan.needed_size,
        "free_size": plan.free_size,
        "models": [
            {
                "name": model.name,
                "model": model.told,
                "sources": list(model.sources),
                "size": model.size,
                "missing_size": model.missing_size,
                "files": [{"path": file.path, "size": file.size, "here": file.here} for file in model.files],
            }
            for model in plan.models
        ],
    }


def render_plan(plan: DownloadPlan) -> str:
    """The files that are not here yet, each model's sum, and the disk."""
    blocks = []
    for model in plan.models:
        missing = [file for file in model.files if file.here < file.size]
        rows = [(f"  {file.path}", human_size(file.size), human_size(file.here)) for file in missing]
        head = (
            f"{model.name}: {model.told}: {human_size(model.missing_size)} of {human_size(model.size)} to be downloaded"
            f" from {', then '.join(model.sources)}"
        )
        blocks.append("\n".join([head, table(("  FILE", "SIZE", "HERE"), rows, right=(1, 2))] if rows else [head]))
    disk = f"{plan.cache}: {human_size(plan.needed_size)} are needed, {human_size(plan.free_size)} are free"
    return "\n\n".join([*blocks, disk])
