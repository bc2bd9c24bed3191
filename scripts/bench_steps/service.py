"""The service that both ways carry: the same base image, model and application, once as a Dockerfile, once as a recipe."""

from __future__ import annotations

import os
from pathlib import Path

BASE = "bench-base:1"
MODEL_PATH = "/app/models/weights"
REPO = "bench/weights"
_FILES_OF_APP = 20

_HAND = f"FROM {BASE}\nCOPY models {MODEL_PATH}\nRUN mkdir -p /srv && echo os > /srv/os\nCOPY app /srv/app\n"
_RECIPE_BASE = f"FROM {BASE}\nRUN mkdir -p /srv && echo os > /srv/os\n"
_RECIPE_APP = "FROM bench:base\nCOPY app /srv/app\n"
_RECIPE = """\
format: 1
name: bench
version: "{version}"
platform: linux/amd64
models: [ {{ name: weights, repo: {repo}, path: {path} }} ]
base: {{ dockerfile: Dockerfile.base, tag: "bench:base" }}
apps: [ {{ dockerfile: Dockerfile, tag: "bench:{version}" }} ]
"""


def write_by_hand(directory: Path, model: Path) -> None:
    """A build context with everything in it; the weights are hard links, which a client reads like any file."""
    (directory / "models").mkdir(parents=True)
    for path in model.iterdir():
        if not path.name.startswith("."):
            os.link(path, directory / "models" / path.name)
    (directory / "Dockerfile").write_text(_HAND)


def write_recipe(directory: Path) -> None:
    """A recipe whose lock is not made yet."""
    directory.mkdir(parents=True)
    (directory / "Dockerfile.base").write_text(_RECIPE_BASE)
    (directory / "Dockerfile").write_text(_RECIPE_APP)


def set_version(hand: Path, recipe: Path, version: str) -> None:
    """The application of that version in both; nothing else changes from one to the next."""
    for directory in (hand, recipe):
        (directory / "app").mkdir(exist_ok=True)
        for number in range(_FILES_OF_APP):
            (directory / "app" / f"module_{number}.py").write_text(f"VERSION = {version!r}\n" * 100)
    text = _RECIPE.format(version=version, repo=REPO, path=MODEL_PATH)
    (recipe / "recipe.yaml").write_text(text)
