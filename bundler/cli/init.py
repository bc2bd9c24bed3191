"""``bundler init``: a small working recipe to start from, or one of bundler's own under another name."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Optional

import click

from bundler.builder.change_notes import MARK
from bundler.builder.init import init_recipe
from bundler.builder.init_from import Started, init_from
from bundler.builder.shipped_recipes import shipped_recipes
from bundler.core.errors import UsageError


@click.command()
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--from", "origin", metavar="RECIPE", help=f"Start from one of these: {', '.join(shipped_recipes())}.")
@click.option(
    "--name", metavar="NAME", help="Name of the recipe, its images and containers; the directory's, if not given."
)
@click.option(
    "--model",
    "models",
    metavar="[MODEL=]REPO",
    multiple=True,
    help="With --from: another repo for a model of the recipe. MODEL is its name there, needed where it has several.",
)
def init(directory: Path, origin: Optional[str], name: Optional[str], models: tuple[str, ...]) -> None:
    """Write a small working recipe with comments into the new DIRECTORY, or a copy of a recipe of bundler's own."""
    called = name or Path(os.path.realpath(directory)).name
    if origin is not None:
        for line in _told(directory, origin, called, init_from(origin, directory, called, models)):
            click.echo(line)
        return
    if models:
        remedy = f"add --from RECIPE: {', '.join(shipped_recipes())}"
        raise UsageError("--model exchanges models of a recipe that --from names", where="--model", remedy=remedy)
    for path in init_recipe(directory, called):
        click.echo(path)
    click.echo(f"next: look at {directory / 'recipe.yaml'}, then type: bundler build {directory}")


def _told(directory: Path, origin: str, name: str, started: Started) -> Iterator[str]:
    place = shlex.quote(str(directory))
    yield f"{directory}: {len(started.files)} files, the recipe {origin} by the name of {name}"
    for each in started.exchanges:
        yield f"{each.model}: {each.new_repo} in place of {each.old_repo}"
    if started.not_taken:
        yield f"not taken, since recorded of what was there before: {', '.join(started.not_taken)}"
        yield "  the checks that compare with it are comments in recipe.yaml until it is recorded again"
    if started.still_named:
        yield f"still speak of what was there before: {', '.join(started.still_named)}"
    yield f"next: grep -rn {MARK} {place}    # what is to be changed, in place"
    yield f"      bundler lint {place}"
    if started.to_record:
        yield f"      bundler fetch {place}"
        yield f"      record {', '.join(started.to_record)}: {directory / 'README.md'} says how"
    yield f"      bundler build {place}"
