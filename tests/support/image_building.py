"""A site to build images at with one of both builders, and what is looked for in what comes out."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from bundler.builder.engine_build.tags import CACHE, REPOSITORY
from bundler.builder.images import (
    BuildEngine,
    BuildOptions,
    BuildSession,
    BuiltImage,
    ExportedImage,
    request_of,
)
from bundler.builder.lock import LockedImage
from bundler.builder.recipe import BuildSpec, Recipe
from bundler.core.docker_api import connect
from bundler.core.progress import SilentProgress
from bundler.core.reference import Reference
from testbed.engines import RunningEngine
from tests.support.kept_layers import Kept

MODELS = (PurePosixPath("/app/models/minilm"),)
OUTSIDE = "busybox:1.36"
BASE = Reference.parse("service:base")
APP = Reference.parse("service:1")


class Notes(SilentProgress):
    """Remembers what was said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, text: str) -> None:
        self.lines.append(text)


@dataclass
class Site:
    """An engine, a builder and a recipe's directory."""

    engine: RunningEngine
    kind: Any
    work: Path
    recipe: Path
    notes: Notes = field(default_factory=Notes)

    def options(self, **values: Any) -> BuildOptions:
        return BuildOptions(**{"builder": self.kind, **values})

    def open(self, platform: Any = "linux/amd64", **values: Any) -> BuildEngine:
        client = connect(self.engine.base_url)
        return BuildEngine(client, self.work, platform, self.options(**values), self.notes)

    def write(self, name: str, text: str) -> None:
        (self.recipe / name).write_text(text)

    def build(
        self,
        session: BuildSession,
        base: str,
        app: str | None = None,
        locked: Sequence[LockedImage] = (),
        **values: Any,
    ) -> list[BuiltImage]:
        """Build ``Dockerfile.base`` and ``Dockerfile`` with these texts."""
        recipe = self._recipe(base, app)
        made = [session.build(request_of(recipe, recipe.base, self.options(**values)), locked, {})]  # type: ignore[arg-type]
        for spec in recipe.apps:
            made.append(session.build(request_of(recipe, spec, self.options(**values)), locked, {BASE: made[0]}))
        return made

    def _recipe(self, base: str, app: str | None) -> Recipe:
        self.write("Dockerfile.base", base)
        self.write("Dockerfile", app or "")
        return Recipe(
            format=1,
            name="service",
            version="1",
            platform="linux/amd64",
            base=BuildSpec(dockerfile="Dockerfile.base", tag=BASE),
            apps=(BuildSpec(dockerfile="Dockerfile", tag=APP),) if app else (),
            directory=self.recipe,
        )

    def private(self) -> str:
        """Everything private that the engine still shows."""
        images = self.engine.docker("images", "--format", "{{.Repository}}:{{.Tag}}")
        containers = self.engine.docker("ps", "--all", "--format", "{{.Labels}}")
        return "\n".join(
            line
            for line in (images + containers).splitlines()
            if REPOSITORY in line or ("bundler" in line and CACHE not in line)
        )


def site_of(name: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    fixture, _, kind = name.partition("-")
    engine: RunningEngine = request.getfixturevalue(fixture)
    request.getfixturevalue("busybox")(engine, OUTSIDE)
    for key, value in engine.environment().items():
        monkeypatch.setenv(key, value)
    (tmp_path / "recipe").mkdir()
    return Site(engine, kind, tmp_path / "work", tmp_path / "recipe")


def config_of(image: ExportedImage[Kept]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(image.config)
    return found


def outputs(image: ExportedImage[Kept], path: str) -> str:
    """The file at ``path`` in the topmost layer that has it."""
    for layer in reversed(image.layers):
        with tarfile.open(fileobj=io.BytesIO(layer.content)) as archive:
            if path in archive.getnames() and (content := archive.extractfile(path)):
                return content.read().decode()
    raise AssertionError(f"{path} is in no layer")
