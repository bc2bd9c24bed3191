"""The log: lines cannot be changed, taken out or put in unseen, but at its end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bundler.installer.chained_log import START, append, broken_lines


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "sub" / "log.jsonl"
    for number in range(4):
        append(path, {"event": "install", "number": number})
    return path


def test_each_line_names_the_one_before(log: Path) -> None:
    assert broken_lines(log) == []
    assert json.loads(log.read_text().splitlines()[0])["previous"] == START


def test_no_log_is_no_problem(tmp_path: Path) -> None:
    assert broken_lines(tmp_path / "none") == []


def test_changed_removed_and_added_lines_are_found(log: Path) -> None:
    lines = log.read_text().splitlines(keepends=True)
    log.write_text("".join([lines[0].replace('"number":0', '"number":9'), *lines[1:]]))
    assert broken_lines(log) == [2]
    log.write_text("".join([lines[0], *lines[2:]]))
    assert broken_lines(log) == [2]
    log.write_text("".join([*lines[:2], '{"event":"install"}\n', *lines[2:]]))
    assert broken_lines(log) == [3, 4]
    log.write_text("".join([*lines[:2], "[1]\n", "not JSON\n"]))
    assert broken_lines(log) == [3, 4]


def test_line_cut_by_a_loss_of_power_is_shown_and_passed(log: Path) -> None:
    log.write_text(log.read_text()[:-10])
    append(log, {"event": "audit"})
    assert len(log.read_text().splitlines()) == 5
    assert broken_lines(log) == [4]
