"""The tables at the end of a run: each once, with the rows of all tests, also of those that fail and of all workers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.egress_table import EGRESS

ROOT = Path(__file__).parents[2]
ONE = """\
from tests.support.egress_table import EGRESS
from tests.support.fault_table import FAULTS

def test_leaks(record_property):
    EGRESS.note(record_property, "honest", "redis", "silent", "silent", "docker20")
    EGRESS.note(record_property, "leak", "curl", "TCP 203.0.113.10 port 443, by curl", "named", "docker20")
    FAULTS.note(record_property, "stall: twice", 2, "arrives")
"""
OTHER = """\
from tests.support.egress_table import EGRESS
from tests.support.fault_table import FAULTS

def test_fails(record_property):
    EGRESS.note(record_property, "leak", "a look-up", "as expected", "MISSED", "docker20")
    FAULTS.note(record_property, "reset", 11, "arrives")
    assert False
"""


@pytest.mark.parametrize("workers", ["0", "2"])
def test_tables_are_printed_once_over_all_tests(tmp_path: Path, workers: str) -> None:
    (tmp_path / "test_one.py").write_text(ONE)
    (tmp_path / "test_other.py").write_text(OTHER)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = engine\n")
    env = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'scripts'}"}
    argv = [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-q", "-n", workers, "--dist", "loadfile"]
    # The usual folder for temporary files is also that of who runs this, and would be closed to other users.
    argv += ["--basetemp", str(tmp_path / "temporary"), "."]
    done = subprocess.run(argv, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=300, check=False)
    assert "1 failed, 1 passed" in done.stdout, done.stdout
    lines = done.stdout.splitlines()
    titles = [line.strip("= ") for line in lines if "table of downloads" in line or EGRESS.title in line]
    assert titles == ["fault table of downloads", EGRESS.title]
    faults = lines[lines.index("FAULT         STRUCK  OUTCOME") :]
    assert faults[1:3] == ["reset             11  arrives", "stall: twice       2  arrives"]
    rows = lines[next(number for number, line in enumerate(lines) if line.startswith("KIND ")) + 1 :]
    assert sorted(row.split()[0] for row in rows[:2]) == ["leak", "leak"]
    assert rows[2].split() == ["honest", "redis", "silent", "silent", "docker20"]
    assert rows[3:5] == ["leaks named: 1 of 2", "honest services silent: 1 of 1"]


def test_a_table_without_rows_is_not_printed(tmp_path: Path) -> None:
    (tmp_path / "test_some.py").write_text("def test_some(): pass\n")
    env = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'scripts'}"}
    argv = [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-q", "."]
    done = subprocess.run(argv, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=300, check=False)
    assert "1 passed" in done.stdout
    assert EGRESS.title not in done.stdout
