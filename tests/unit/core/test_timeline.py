"""Timelines, controls and provenances are read as they were written, and nothing else is."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from bundler.core.egress import TRIPWIRE, NoEgress, parse_no_egress
from bundler.core.errors import BundleError
from bundler.core.json_fields import Fields
from bundler.core.provenance import parse_control, parse_provenance
from bundler.core.timeline import Timeline, parse_timeline
from tests.support.report_evidence import CONTROL, LEAKING, PROVENANCE, SILENT, TIMELINE


def read(value: Any) -> Fields:
    return Fields(json.loads(json.dumps(value.to_json())), "papers")


def test_all_of_it_is_read_as_it_was_written() -> None:
    assert parse_timeline(read(TIMELINE)) == TIMELINE
    assert parse_timeline(read(dataclasses.replace(TIMELINE, unkept=7))).unkept == 7
    assert parse_control(read(CONTROL)) == CONTROL
    assert parse_provenance(read(PROVENANCE)) == PROVENANCE
    assert parse_no_egress(read(SILENT)) == SILENT
    assert parse_no_egress(read(LEAKING)) == LEAKING


def test_papers_and_receipts_of_before_have_neither() -> None:
    assert parse_no_egress(Fields({"proof": TRIPWIRE, "why": "", "attempts": []}, "receipt")) == NoEgress(TRIPWIRE)
    assert NoEgress(TRIPWIRE).to_json() == {"proof": TRIPWIRE, "why": "", "attempts": []}


@pytest.mark.parametrize(
    ("part", "key", "value"),
    [
        ("processes", "pid", "1"),
        ("processes", "command", None),
        ("processes", "first_s", -1),
        ("processes", "first_s", 9.4),
        ("loads", "hold", "read"),
        ("loads", "path", 7),
        ("loads", "last_s", float("inf")),
    ],
)
def test_anything_else_is_refused(part: str, key: str, value: object) -> None:
    document = TIMELINE.to_json()
    document[part][0][key] = value
    with pytest.raises(BundleError):
        parse_timeline(Fields(document, "papers"))


def test_a_timeline_without_anything_is_one() -> None:
    assert parse_timeline(read(Timeline(0.0, 0.05))) == Timeline(0.0, 0.05)


def test_a_control_is_told_with_its_times() -> None:
    assert CONTROL.told == (
        "a UDP packet to 192.0.2.1 port 9, caught 12 ms after the start of its sender, and a DNS question for "
        "control.bundler.invalid, after 12 ms"
    )
