"""``bundler lock``: what a recipe resolves to now, and what that changes."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import click

from bundler.builder.cache import default_cache
from bundler.builder.download import LockReport, ModelSettings, lock_recipe
from bundler.builder.lock import LOCK_FILE
from bundler.builder.resolve import Upgrade
from bundler.builder.supply import DownloadSettings
from bundler.cli.build_arguments import build_arg_option, pairs
from bundler.cli.download_options import download_options
from bundler.cli.installer_options import json_option, progress_option
from bundler.cli.progress import make_progress
from bundler.cli.tables import human_size, table
from bundler.core.docker_api import connect

_ALL = "*"


@click.command()
@click.argument("recipe", type=click.Path(path_type=Path))
@click.option(
    "--upgrade",
    "upgrades",
    metavar="[MODEL]",
    is_flag=False,
    flag_value=_ALL,
    multiple=True,
    help="Move on to what revisions and tags are now: of one model, or of everything. Stands after RECIPE.",
)
@click.option("--models-only", is_flag=True, help="Leave the images as they are: no engine is needed.")
@build_arg_option
@download_options
@click.option("--host", metavar="URL", help="The engine [DOCKER_HOST, the context, the local socket].")
@json_option
@progress_option
def lock(
    recipe: Path,
    upgrades: tuple[str, ...],
    models_only: bool,
    build_args: tuple[str, ...],
    download: DownloadSettings,
    host: str | None,
    as_json: bool,
    mode: str,
) -> None:
    """Write recipe.lock for RECIPE: commits, files, sizes and digests, each read from its source.

    What stands in the lock and is still asked for stays as it is, unless --upgrade says otherwise.
    """
    upgrade = Upgrade(None if _ALL in upgrades else frozenset(upgrades))
    settings = ModelSettings(default_cache(), download, pairs(build_args))
    engine = None if models_only else partial(connect, host)
    report = lock_recipe(recipe, upgrade, settings, engine, make_progress(mode))
    click.echo(json.dumps(as_object(report)) if as_json else render(recipe, report))


def as_object(report: LockReport) -> dict[str, object]:
    """The result for programs: sizes in bytes."""
    return {
        "models": [
            {
                "name": model.name,
                "repo_id": model.repo_id,
                "canonical_id": model.canonical_id,
                "revision": model.revision,
                "commit": model.commit,
                "files": len(model.files),
                "size": model.size,
                "license": model.license.id,
            }
            for model in report.lock.models
        ],
        "images": [image.model_dump(mode="json") for image in report.lock.images or ()],
        "changes": list(report.changes),
    }


def render(recipe: Path, report: LockReport) -> str:
    """The models, and what is different."""
    rows = [
        (
            model.name,
            model.told,
            str(len(model.files)),
            human_size(model.size),
            model.license.name or model.license.id or "-",
        )
        for model in report.lock.models
    ]
    changed = "\n".join(report.changes) or "nothing has changed"
    return "\n\n".join(
        [
            table(("MODEL", "COMMIT", "FILES", "SIZE", "LICENCE"), rows, right=(2, 3)),
            f"{recipe / LOCK_FILE}:\n{changed}",
        ]
    )
