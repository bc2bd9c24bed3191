"""The published JSON Schema is the one that the models give, and judges recipes as their reader does."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from bundler.builder.init import init_recipe
from bundler.builder.schema import SCHEMA_FILE, recipe_schema, schema_text
from bundler.builder.yaml_source import plain, read_yaml

ROOT = Path(__file__).parents[3]


def test_the_published_schema_is_up_to_date() -> None:
    assert SCHEMA_FILE.read_text(encoding="utf-8") == schema_text(), "run: python -m bundler.builder.schema"


def test_the_schema_speaks_the_keys_of_the_file() -> None:
    schema = recipe_schema()
    definitions = schema["$defs"]
    assert {"format", "name", "version", "platform", "base"} == set(schema["required"])
    assert schema["additionalProperties"] is False
    assert "from" in definitions["ImageSpec"]["properties"] and "within" in definitions["RunCheckSpec"]["properties"]
    assert "directory" not in schema["properties"] and "lines" not in schema["properties"]


def faults(text: str) -> list[str]:
    """What an editor says of the recipe, by the published file."""
    schema: dict[str, Any] = json.loads(SCHEMA_FILE.read_bytes())
    jsonschema.Draft202012Validator.check_schema(schema)
    document = json.loads(json.dumps(plain(read_yaml(text.encode(), "recipe.yaml").document)))
    return [error.message for error in jsonschema.Draft202012Validator(schema).iter_errors(document)]


def example_of_the_docs() -> str:
    found = re.search(r"```yaml\n(.*?)```", (ROOT / "docs" / "recipe.md").read_text(encoding="utf-8"), re.DOTALL)
    assert found
    return found[1]


def test_every_recipe_that_we_show_is_right(tmp_path: Path) -> None:
    init_recipe(tmp_path / "mine", "mine")
    shown = [path.read_text(encoding="utf-8") for path in (ROOT / "recipes").glob("*/recipe.yaml")]
    assert len(shown) >= 2
    for text in ((tmp_path / "mine" / "recipe.yaml").read_text(), *shown, example_of_the_docs()):
        assert faults(text) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("/app/models/minilm", "/app/../minilm"),
        ("/app/models/minilm", "/app/./minilm"),
        ("/app/models/minilm", "/app/.wh.minilm"),
        ("/app/models/minilm", "/tmp/minilm"),
        ("/app/models/minilm", "/proc"),
        ("/app/models/minilm", "models/minilm"),
        ("/app/models/minilm", "/app/models/"),
        ("within: 10s", "within: 0s"),
        ("within: 10s", "within: 0.0s"),
        ("within: 10s", "within: soon"),
        ("revision: main", "revison: main"),
    ],
)
def test_what_the_reader_refuses_an_editor_refuses(old: str, new: str) -> None:
    text = example_of_the_docs()
    assert text.count(old) == 1
    assert len(faults(text.replace(old, new))) == 1


@pytest.mark.parametrize("path", ["/app/..models/x", "/app/.hidden", "/tmpfs/x", "/m", "/a/b+c@d_e-f.g"])
def test_unusual_paths_are_right(path: str) -> None:
    assert faults(example_of_the_docs().replace("/app/models/minilm", path)) == []


@pytest.mark.parametrize("time", ["0.5s", "500ms", "1m30s", "10s", "100s", "0h10m"])
def test_lengths_of_time_are_right(time: str) -> None:
    assert faults(example_of_the_docs().replace("within: 10s", f"within: {time}")) == []
