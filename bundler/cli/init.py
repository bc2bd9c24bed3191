"""``bundler init``: a small working recipe to start from."""

from __future__ import annotations

from pathlib import Path

import click

from bundler.builder.init import init_recipe


@click.command()
@click.argument("target", metavar="NAME", type=click.Path(path_type=Path))
def init(target: Path) -> None:
    """Write a small working recipe with comments into the new directory NAME."""
    for path in init_recipe(target, target.name):
        click.echo(path)
    click.echo(f"next: look at {target / 'recipe.yaml'}, then type: bundler build {target}")
