"""A place to build small kits for real: a Hub on loopback, a busybox in the engine, a recipe, and ``bundler build``.

Kits are a few MB, a build takes seconds; what a test wants otherwise it changes in the files of ``recipe``.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from testbed.engines import RunningEngine
from testbed.hub import Hub
from testbed.hub_repo import HubRepo
from testbed.images import busybox_image
from tests.support.safetensors_files import safetensors_file

REPO = "acme/tiny"
BUSYBOX = "busybox-test:1"
RECIPE = """\
format: 1
name: small
version: 1.0.0
platform: linux/amd64
models:
  - name: tiny
    repo: acme/tiny
    revision: main
    path: /app/models/tiny
base: { dockerfile: Dockerfile.base, tag: "small:base" }
apps: [ { dockerfile: Dockerfile, tag: "small:1.0.0" } ]
files: [ compose.yaml ]
checks:
  - { name: answers, run: [cat, /app/models/tiny/config.json], within: 2m, expect: "hidden_size" }
"""
DOCKERFILE_BASE = f"FROM {BUSYBOX}\nRUN mkdir -p /srv && echo os > /srv/os\nENV OS=1\n"
DOCKERFILE = 'FROM small:base\nCOPY app.txt /srv/app.txt\nUSER 10001\nCMD ["cat", "/srv/app.txt"]\n'


def write_model(directory: Path, size: int = 300_000, seed: int = 1) -> Path:
    """A repo of a few files; the weights have ``size`` bytes, random ones that a seed decides."""
    directory.mkdir(parents=True)
    (directory / "config.json").write_text('{"hidden_size": 8}\n')
    safetensors_file(directory / "model.safetensors", size, seed)
    (directory / "LICENSE").write_text("Do as you like.\n")
    (directory / "README.md").write_text("---\nlicense: apache-2.0\n---\n")
    (directory / ".gitattributes").write_text("*.safetensors filter=lfs diff=lfs merge=lfs -text\n")
    return directory


def write_recipe(directory: Path) -> Path:
    """The recipe ``small`` with its Dockerfiles."""
    directory.mkdir(parents=True)
    (directory / "recipe.yaml").write_text(RECIPE)
    (directory / "Dockerfile.base").write_text(DOCKERFILE_BASE)
    (directory / "Dockerfile").write_text(DOCKERFILE)
    (directory / "app.txt").write_text("application\n")
    (directory / "compose.yaml").write_text("services: {}\n")
    return directory


@dataclass(frozen=True)
class BuildSite:
    """Everything that a build needs; ``engine`` is real, ``hub`` speaks the real protocol."""

    root: Path
    engine: RunningEngine
    hub: Hub

    @property
    def recipe(self) -> Path:
        """The recipe's directory."""
        return self.root / "recipe"

    @property
    def output(self) -> Path:
        """Where kits are written."""
        return self.root / "out"

    @property
    def kit(self) -> Path:
        """The kit of the unchanged recipe."""
        return self.output / "small-1.0.0-linux-amd64"

    def environment(self) -> dict[str, str]:
        """The environment of a build: its own cache, this engine."""
        env = {**os.environ, **self.engine.environment()}
        for name in ("HF_ENDPOINT", "HF_TOKEN", "SOURCE_DATE_EPOCH"):
            env.pop(name, None)
        return {**env, "DOCKER_HOST": self.engine.base_url, "XDG_CACHE_HOME": str(self.root / "cache")}

    def command(self, *options: str) -> list[str]:
        """``bundler build`` as a person types it."""
        common = ["--output", str(self.output), "--endpoint", self.hub.endpoint]
        return [sys.executable, "-m", "bundler", "build", str(self.recipe), *common, *options]

    def run(self, *options: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Build in a process of its own; the caller looks at the exit code."""
        return subprocess.run(
            self.command(*options),
            env={**self.environment(), **(env or {})},
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )

    def build(self, *options: str, env: dict[str, str] | None = None) -> Path:
        """Build, and fail with the program's own words where it does not end well."""
        done = self.run(*options, env=env)
        assert done.returncode == 0, done.stderr
        return self.kit


@contextmanager
def build_site(root: Path, engine: RunningEngine, model_size: int = 300_000) -> Iterator[BuildSite]:
    """A site below ``root``; the engine keeps busybox, which costs nothing."""
    repo = write_model(root / "repo", model_size)
    write_recipe(root / "recipe")
    busybox_image(engine, BUSYBOX)
    with Hub([HubRepo(REPO, repo)]) as hub:
        yield BuildSite(root, engine, hub)


def fetched_files(hub: Hub) -> list[str]:
    """Files of models that were asked for; terms and cards are read to make a lock."""
    names = {seen.path.rpartition("/")[2] for seen in hub.requests("/resolve/")}
    return sorted(names - {"LICENSE", "README.md"})


def images_in(engine: RunningEngine) -> list[str]:
    """Names and ids of all images of the engine, nameless ones too."""
    lines = engine.docker("images", "--all", "--no-trunc", "--format", "{{.Repository}}:{{.Tag}} {{.ID}}")
    return sorted(line for line in lines.splitlines() if line)
