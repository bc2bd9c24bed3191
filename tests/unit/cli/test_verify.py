"""What a program reads of ``bundler verify``: one report on standard output, whether the kit is whole or not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bundler.cli import main
from bundler.core.digest import Digest
from tests.support.tiny_bundle import make_tiny_kit


@pytest.fixture
def kit(tmp_path: Path) -> Path:
    return make_tiny_kit(tmp_path / "out")


def verified(kit: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, Any], str]:
    code = main.run(["verify", str(kit), "--json", "--progress", "none"])
    shown = capsys.readouterr()
    return code, json.loads(shown.out), shown.err


def test_report_of_a_whole_kit(kit: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, report, err = verified(kit, capsys)
    tar = next(kit.glob("*.tar"))
    assert (code, err) == (0, "")
    assert report == {
        "title": "tiny-1.0.0-linux-amd64",
        "path": str(kit),
        "members": 13,
        "read_size": tar.stat().st_size,
        "tar_sum": str(Digest.of(tar.read_bytes())),
        "signed": False,
        "problems": [],
    }


def test_report_of_a_damaged_kit(kit: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tar = next(kit.glob("*.tar"))
    tar.write_bytes(tar.read_bytes() + b"x")
    (kit / "README.txt").unlink()
    (kit / "more").touch()
    code, report, err = verified(kit, capsys)
    assert code == 6
    assert [(problem["kind"], problem["where"].partition(",")[0]) for problem in report["problems"]] == [
        ("missing", "README.txt"),
        ("extra", "more"),
        ("changed", tar.name),
        ("changed", tar.name),
    ]
    assert all(problem["what"] and problem["do"] for problem in report["problems"])
    assert report["tar_sum"] == str(Digest.of(tar.read_bytes()))
    error = json.loads(err)["error"]
    assert error["exit_code"] == 6
    assert [problem["what"] for problem in error["problems"]] == [problem["what"] for problem in report["problems"]]
