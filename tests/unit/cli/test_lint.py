"""``bundler lint``: its output for people and programs, and the codes that it ends with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bundler.builder.source_policy.rules import RULES
from bundler.cli.main import run

BAD = 'import nltk\nnltk.download("punkt")\n'


def test_a_clean_path_ends_with_0(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.py").write_text("x = 1\n")
    assert run(["lint", str(tmp_path)]) == 0
    assert capsys.readouterr().out == "1 file read, no findings\n"


def test_a_finding_is_a_block_and_ends_with_9(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.py"
    path.write_text(BAD)
    assert run(["lint", str(path)]) == 9
    rule = RULES["fetches"]
    assert capsys.readouterr().out.splitlines() == [
        f"{path}:2:1: fetches: nltk.download downloads what it does not find",
        f"    why: {rule.why}",
        "    instead: bring nltk_data into the image and set NLTK_DATA",
        "1 file read, 1 finding",
    ]


def test_waived_findings_are_told_with_their_reasons(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.py"
    path.write_text(BAD.rstrip() + "  # bundler: allow fetches a tool for the connected host\n")
    assert run(["lint", str(path)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{path}:2:1: fetches: waived: a tool for the connected host",
        "1 file read, no findings, 1 waived",
    ]


def test_json_says_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.py").write_text(BAD)
    (tmp_path / "b.py").write_text(BAD.rstrip() + "  # bundler: allow fetches ours\n")
    assert run(["lint", str(tmp_path), "--json"]) == 9
    report = json.loads(capsys.readouterr().out)
    (finding,), (waived,) = report["findings"], report["waived"]
    assert (report["files"], waived["reason"]) == (2, "ours")
    assert {key: finding[key] for key in ("rule", "file", "line", "column")} == {
        "rule": "fetches",
        "file": f"{tmp_path}/a.py",
        "line": 2,
        "column": 1,
    }
    assert all(finding[key] for key in ("what", "why", "instead"))


@pytest.mark.parametrize("arguments", [["lint"], ["lint", "/nowhere/at/all"], ["lint", "--no-lint", "."]])
def test_what_cannot_be_asked_ends_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == 2
    assert "do: see `bundler lint --help`" in capsys.readouterr().err


def test_every_rule_is_explained() -> None:
    page = (Path(__file__).resolve().parents[3] / "docs" / "lint.md").read_text(encoding="utf-8")
    assert [rule for rule in RULES if f"### `{rule}`" not in page] == []
