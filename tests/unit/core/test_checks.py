"""Checks of all kinds in ``bundle.json``: written and read again, and refused where they are not of their form."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from bundler.core.check_format import parse_check, render_check
from bundler.core.checks import (
    LONGEST_QUESTION,
    AnyCheck,
    Golden,
    GoldenCheck,
    LoadBudgetCheck,
    Peer,
    Question,
    RunCheck,
    ServeCheck,
)
from bundler.core.errors import BundleError
from bundler.core.json_fields import Fields
from bundler.core.reference import Reference

IMAGE = Reference.parse("example.org/a:1")
_COMMON: dict[str, Any] = {"image": IMAGE, "within_s": 5.0, "user": None, "env": {}}
_QUESTION = Question("POST", "/v1?a=b", {"X-Key": "k"}, '{"input": "größe"}')
_PEERS = (Peer("database", 5432), Peer("2001:db8::1", 5432), Peer("cache", None))
SERVE = ServeCheck(
    name="asks", run=(), allow=_PEERS, needs_gpu=True, port=80, question=_QUESTION, status=201, expect=("a",),
    forbid=("b",), watch_s=30.0, **_COMMON,
)  # fmt: skip
OPENS = ServeCheck(
    name="opens", run=("x",), allow=(), needs_gpu=False, port=80, question=None, status=200, expect=(), forbid=(),
    watch_s=0.0, **_COMMON,
)  # fmt: skip
RUN = RunCheck(name="runs", run=("x",), allow=(), needs_gpu=False, expect=("a",), forbid=(), **_COMMON)
BUDGET = LoadBudgetCheck(name="loads", run=("x",), allow=(), needs_gpu=True, budget_s=10.0, **_COMMON)
_RECORDED = Golden("m", "c" * 40, {"w": "0" * 64}, "by hand", ("a", ["b"]), ([0.5], None))
GOLDEN = GoldenCheck(name="gold", run=("x",), allow=(), needs_gpu=False, golden=_RECORDED, tolerance=0.0, **_COMMON)
ALL = [SERVE, OPENS, RUN, BUDGET, GOLDEN]
SCHEMA = json.loads((Path(__file__).parents[3] / "docs" / "bundle.schema.json").read_text(encoding="utf-8"))
VALIDATOR = jsonschema.Draft202012Validator({"$ref": "#/$defs/check", "$defs": SCHEMA["$defs"]})


def parsed(document: dict[str, Any]) -> AnyCheck:
    return parse_check(Fields(json.loads(json.dumps(document)), "check"))


@pytest.mark.parametrize("check", ALL, ids=lambda check: check.name)
def test_what_is_written_is_read_again_and_is_in_the_schema(check: AnyCheck) -> None:
    document = render_check(check)
    assert parsed(document) == check
    VALIDATOR.validate(json.loads(json.dumps(document)))


def test_every_key_that_is_written_stands_in_the_schema() -> None:
    definitions = SCHEMA["$defs"]
    for check in ALL:
        document = render_check(check)
        own = set(definitions[f"{document['kind']}_check"]["properties"])
        common = set(definitions["check"]["properties"])
        assert common | own >= set(document) >= own
    question = definitions["serve_check"]["properties"]["question"]["properties"]
    assert set(question) == set(render_check(SERVE)["question"])
    golden = definitions["golden"]["properties"]
    assert set(golden) == set(render_check(GOLDEN)["golden"])


@pytest.mark.parametrize(
    "change",
    [
        {"port": 0},
        {"port": 65536},
        {"port": "80"},
        {"status": 99},
        {"status": 600},
        {"watch_s": -1},
        {"watch_s": "1"},
        {"within_s": 0},
        {"question": []},
        {"question": None},
        {"question.method": "BREW"},
        {"question.path": "v1"},
        {"question.path": "/a b"},
        {"question.path": "/a\r\nX: y"},
        {"question.headers": {"X": "a\r\nb"}},
        {"question.headers": {"X:": "a"}},
        {"question.headers": {"X": 1}},
        {"question.headers": {"X": "\ud800"}},
        {"question.headers": {"X": "a\0b"}},
        {"question.body": 7},
        {"question.body": "a\0b"},
        {"question.body": "\udfff"},
        {"question.body": "ö" * (LONGEST_QUESTION // 2)},
        {"expect": "a"},
        {"allow": ["a:0"]},
        {"allow": ["a b"]},
        {"allow": "database"},
        {"needs_gpu": "yes"},
        {"kind": "swerve"},
    ],
    ids=lambda change: json.dumps(change)[:40],
)
def test_a_hostile_service_is_refused(change: dict[str, Any]) -> None:
    document = copy.deepcopy(render_check(SERVE))
    for place, value in change.items():
        *parents, key = place.split(".")
        inner = document
        for parent in parents:
            inner = inner[parent]
        inner[key] = value
    with pytest.raises(BundleError):
        parsed(document)


@pytest.mark.parametrize("key", ["port", "status", "watch_s", "expect", "forbid", "run", "within_s", "kind"])
def test_what_is_missing_is_refused(key: str) -> None:
    document = render_check(SERVE)
    del document[key]
    with pytest.raises(BundleError):
        parsed(document)
    assert not VALIDATOR.is_valid(document)


@pytest.mark.parametrize("check", ALL, ids=lambda check: check.name)
@pytest.mark.parametrize("value", [None, True, -1, "", [], {}, [1], {"a": 1}, "x:y z"])
def test_what_the_reader_refuses_by_type_the_schema_refuses(check: AnyCheck, value: Any) -> None:
    """Places that no schema can judge are those of texts with a form of their own."""
    document = render_check(check)
    for key in document:
        other = {**document, key: value}
        if VALIDATOR.is_valid(other):
            parsed(other)
