"""The recipe's JSON Schema, made from the models that read it; ``python -m bundler.builder.schema`` writes it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bundler.builder.recipe import RecipeDocument

SCHEMA_FILE = Path(__file__).parents[2] / "docs" / "recipe.schema.json"
SCHEMA_URL = "https://json-schema.org/draft/2020-12/schema"


def recipe_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of ``recipe.yaml``, for editors; what spans several values is checked by the reader."""
    schema = RecipeDocument.model_json_schema(by_alias=True)
    for kind in ("RunCheckSpec", "ServeCheckSpec", "GoldenSpec"):
        schema["$defs"][kind]["properties"]["within"]["default"] = "60s"
    return {"$schema": SCHEMA_URL, **schema, "title": "recipe.yaml of bundler, format 1"}


def schema_text() -> str:
    """The file as it stands in ``docs/``."""
    return json.dumps(recipe_schema(), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def write_schema(path: Path = SCHEMA_FILE) -> None:
    """Write the schema to ``path`` under a temporary name and rename it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_text(schema_text(), encoding="utf-8")
    temporary.replace(path)


if __name__ == "__main__":
    write_schema()
