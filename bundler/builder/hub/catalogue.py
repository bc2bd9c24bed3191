"""Which models the store holds, for whom, and when they were used last: one small file a model, below ``models/``."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from bundler.builder.lock import LockedModel
from bundler.builder.recipe_models import ModelSpec
from bundler.builder.yaml_source import plain
from bundler.core.atomic import write_atomic


class CatalogueEntry(BaseModel):
    """A model that was fetched: what the recipe asked for, what it is, and when (seconds since 1970) it was used."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    spec: ModelSpec
    model: LockedModel
    recipe: str
    used: float


@dataclass(frozen=True)
class Catalogue:
    """The entries below the cache's ``root``."""

    root: Path
    now: Callable[[], float] = field(default=time.time)

    def note(self, spec: ModelSpec, model: LockedModel, recipe: Path) -> None:
        """The model was used for the recipe in that directory."""
        entry = CatalogueEntry(spec=spec, model=model, recipe=str(recipe.absolute()), used=self.now())
        write_atomic(self._place(model), entry.model_dump_json(indent=1, by_alias=True).encode())

    def entries(self) -> Iterator[tuple[Path, CatalogueEntry]]:
        """Every entry that can be read with its file, the one used last first; others are passed over."""
        found = [(path, entry) for path in self.paths() if (entry := _read(path)) is not None]
        return iter(sorted(found, key=lambda each: -each[1].used))

    def paths(self) -> Iterator[Path]:
        """The files of all entries, those among them that cannot be read: damaged, or of another release."""
        return (self.root / "models").glob("*.json")

    def _place(self, model: LockedModel) -> Path:
        return self.root / "models" / f"{model.repo_id.replace('/', '--')}--{model.commit or 'urls'}--{model.name}.json"


def _read(path: Path) -> CatalogueEntry | None:
    try:
        return CatalogueEntry.model_validate(plain(json.loads(path.read_bytes())))
    except (OSError, ValueError, RecursionError):
        return None
