"""The published JSON Schema is the one that the models give."""

from __future__ import annotations

from bundler.builder.schema import SCHEMA_FILE, recipe_schema, schema_text


def test_the_published_schema_is_up_to_date() -> None:
    assert SCHEMA_FILE.read_text(encoding="utf-8") == schema_text(), "run: python -m bundler.builder.schema"


def test_the_schema_speaks_the_keys_of_the_file() -> None:
    schema = recipe_schema()
    definitions = schema["$defs"]
    assert {"format", "name", "version", "platform", "base"} == set(schema["required"])
    assert schema["additionalProperties"] is False
    assert "from" in definitions["ImageSpec"]["properties"] and "within" in definitions["CheckSpec"]["properties"]
    assert "directory" not in schema["properties"] and "lines" not in schema["properties"]
