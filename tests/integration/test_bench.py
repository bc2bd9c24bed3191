"""``scripts/bench`` goes both ways from end to end; its numbers mean something only with larger weights."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import zstandard

from bench_steps.weights import exponent_table, write_model
from loader.build import LOADER, ROOT, build_loader

TIMEOUT_S = 900


def test_generated_weights_shrink_like_trained_ones(tmp_path: Path) -> None:
    size = 4 << 20
    write_model(tmp_path / "one", size)
    write_model(tmp_path / "same", size)
    content = (tmp_path / "one/model.safetensors").read_bytes()
    assert content == (tmp_path / "same/model.safetensors").read_bytes()
    assert len(content) == size + 8 + int.from_bytes(content[:8], "little")
    assert 0.75 < len(zstandard.compress(content, 3)) / len(content) < 0.81
    assert len(exponent_table()) == 256
    assert set(exponent_table()) == {byte ^ 0x80 for byte in exponent_table()}, "as many weights below zero as above"


def rows(printed: str, title: str) -> list[list[str]]:
    """The cells of the rows with that title, first time and update."""
    lines = (line for line in printed.splitlines() if line.startswith(f"| {title} |"))
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


@pytest.mark.engine
def test_both_ways_end_well_and_leave_nothing(tmp_path: Path) -> None:
    build_loader(ROOT / LOADER)
    options = ["--size", "4", "--runs", "1", "--os", "busybox", "--engine", "docker20", "--work", str(tmp_path)]
    argv = [sys.executable, str(ROOT / "scripts/bench_steps"), *options]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert done.returncode == 0, done.stderr
    assert f"`./scripts/bench {' '.join(options)}`" in done.stdout
    assert "### Docker 20.10" in done.stdout
    for title in ("this side", "other side", "**all**"):
        assert all(float(row[-1]) > 0 for row in rows(done.stdout, title))
    taken = rows(done.stdout, "bytes into the other engine")
    assert [0.9 < float(row[-1]) < 1.1 for row in taken] == [True, False]
    assert float(taken[1][-1]) < 0.02, "an update carries the application alone into the engine"
    assert all(float(row[2].split()[0]) > 3.0 for row in rows(done.stdout, "bytes carried"))
    assert not list(tmp_path.iterdir())


@pytest.mark.engine  # root alone installs nginx
def test_downloads_are_compared_and_nothing_is_left(tmp_path: Path) -> None:
    options = ["--size", "8", "--runs", "1", "--work", str(tmp_path)]
    argv = [sys.executable, str(ROOT / "scripts/bench_steps"), "download", *options]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert done.returncode == 0, done.stderr
    assert f"`./scripts/bench download {' '.join(options)}`" in done.stdout
    for way in ("bundler auto", "bundler hf_transfer", "snapshot_download", "hf_transfer alone", "curl"):
        assert [float(row[-1]) > 0 for row in rows(done.stdout, way)] == [True, True]
    assert not list(tmp_path.iterdir())


@pytest.mark.engine
def test_the_cost_of_the_proof_is_measured() -> None:
    argv = [sys.executable, str(ROOT / "scripts/bench_steps"), "egress", "--runs", "1", "--engine", "docker20"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert done.returncode == 0, done.stderr
    assert "`./scripts/bench egress --runs 1 --engine docker20`" in done.stdout
    (session,) = rows(done.stdout, "a session of proof with the check in it")
    *taken, added = map(float, session[1:])
    assert all(seconds > 0 for seconds in taken)
    assert added < min(taken)  # of one run each, the one without the proof may even be the slower one
