"""The published schema and the reader agree: on a real ``bundle.json``, and on what each of them refuses."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from bundler.core.bundle_manifest import parse_bundle_manifest
from bundler.core.errors import BundleError
from tests.support.tiny_bundle import make_tiny_kit

SCHEMA = json.loads((Path(__file__).parents[3] / "docs" / "bundle.schema.json").read_text(encoding="utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    kit = make_tiny_kit(tmp_path_factory.mktemp("tiny"))
    value: dict[str, Any] = json.loads((kit / "head" / "bundle.json").read_bytes())
    return value


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every key of every object."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    here = [(*path, key) for key, _ in items]
    return [*here, *(place for key, each in items for place in places(each, (*path, key)))]


def changed(document: dict[str, Any], place: tuple[Any, ...], value: Any) -> dict[str, Any]:
    whole = copy.deepcopy(document)
    inner: Any = whole
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    return whole


def accepted_by_reader(value: dict[str, Any]) -> bool:
    try:
        parse_bundle_manifest(json.dumps(value).encode(), "test")
    except BundleError:
        return False
    return True


def test_the_schema_is_one_and_takes_a_real_bundle(document: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    VALIDATOR.validate(document)
    assert accepted_by_reader(document)


def test_every_key_that_is_written_stands_in_the_schema(document: dict[str, Any]) -> None:
    for properties, value in (
        (SCHEMA["properties"], document),
        (SCHEMA["$defs"]["image"]["properties"], document["images"][0]),
        (SCHEMA["$defs"]["layer"]["properties"], document["images"][0]["layers"][0]),
        (SCHEMA["$defs"]["model"]["properties"], document["models"][0]),
        (SCHEMA["$defs"]["file"]["properties"], document["files"][0]),
    ):
        assert set(properties) == set(value)


@pytest.mark.parametrize("value", [None, True, -1, "", "../x", [], {}, [1], {"a": 1}])
def test_what_the_reader_takes_the_schema_takes(document: dict[str, Any], value: Any) -> None:
    """At every place of a real document; the schema may be stricter only where the reader checks against the tar."""
    for place in places(document):
        other = changed(document, place, value)
        if VALIDATOR.is_valid(other) and not accepted_by_reader(other):
            # What no schema can say: a name that must be one of another list, a list that later readers take.
            assert place[-1] in {"models", "requires"} or place[-2:-1] == ("models",), (place, value)
        if accepted_by_reader(other) and not VALIDATOR.is_valid(other):
            # The reader compares these with the layers and images of the tar, beyond their form.
            assert place[-1] in {"kind", "model"}, (place, value)


_COMMON = {"name": "c", "image": "docker.io/library/a:1", "run": ["x"], "within_s": 1.0, "user": None, "env": {}}
_GOLDEN = {"model": "m", "commit": "c" * 40, "files": {"w": "0" * 64}, "reference": "r", "inputs": [1], "outputs": [2]}
_KINDS = (
    {"kind": "load_budget", **_COMMON, "budget_s": 3.0},
    {"kind": "golden", **_COMMON, "tolerance": 0.0, "golden": _GOLDEN},
)


@pytest.mark.parametrize("check", _KINDS, ids=lambda check: check["kind"])
@pytest.mark.parametrize("value", [None, True, -1, 0, 1.5, "", "c" * 40, {}, [1], {"a": 1}, {"a": "0" * 64}])
def test_reader_and_schema_agree_on_checks_of_other_kinds(document: dict[str, Any], check: Any, value: Any) -> None:
    whole = changed(document, ("checks",), [check])
    VALIDATOR.validate(whole)
    assert accepted_by_reader(whole)
    inside = [place for place in places(whole) if place[:2] == ("checks", 0)]
    for place in inside:
        other = changed(whole, place, value)
        assert VALIDATOR.is_valid(other) == accepted_by_reader(other), (place, value)
