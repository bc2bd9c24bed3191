"""A small recipe that is right, ways to change its text, and what is said of one that is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from bundler.builder.recipe import Recipe
from bundler.builder.recipe_file import load_recipe
from bundler.core.errors import Problem, RecipeError

GOOD = """\
format: 1
name: quick
version: "1.0.0"
platform: linux/amd64
models:
  - name: one
    repo: owner/one
    path: /app/models/one
base: { dockerfile: Dockerfile.base, tag: "quick:base" }
apps:
  - dockerfile: Dockerfile
    tag: "quick:1.0.0"
"""


def write_dockerfiles(here: Path) -> Path:
    """What ``GOOD`` names; gives the directory."""
    (here / "Dockerfile.base").write_text("FROM busybox:1\n")
    (here / "Dockerfile").write_text("FROM quick:base\n")
    return here


def load(here: Path, text: str | bytes) -> Recipe:
    (here / "recipe.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_recipe(here)


def problems(here: Path, text: str | bytes) -> tuple[Problem, ...]:
    with pytest.raises(RecipeError) as caught:
        load(here, text)
    assert caught.value.exit_code == 3
    assert caught.value.remedy
    return caught.value.problems


def only(here: Path, text: str | bytes) -> Problem:
    found = problems(here, text)
    assert len(found) == 1, [str(each) for each in found]
    assert found[0].remedy
    return found[0]


def changed(old: str, new: str) -> str:
    assert GOOD.count(old) == 1
    return GOOD.replace(old, new)
