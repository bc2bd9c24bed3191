"""Recorded outputs and load budgets in a build: compared with the lock, tried in both rehearsals, kept in the papers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from testbed.engines import RunningEngine
from tests.support.build_site import BuildSite, build_site, fetched_files

#: What it gets is what it gives: the batches themselves.
CHECKS = """\
  - { name: echo, golden: golden.json, run: 'printf "loading\\n%s\\n" "$1"', within: 2m }
  - { name: loads, load_budget: 2m, run: "cat /app/models/tiny/* >/dev/null" }
"""


@pytest.fixture
def site(docker20: RunningEngine, tmp_path: Path) -> Iterator[BuildSite]:
    with build_site(tmp_path, docker20) as site:
        recipe = site.recipe / "recipe.yaml"
        recipe.write_text(recipe.read_text() + CHECKS)
        yield site


def record(site: BuildSite, files: dict[str, str], outputs: tuple[str, ...] = ("a", "two words")) -> None:
    document = {
        "model": "tiny",
        "files": files,
        "reference": "a test",
        "inputs": ["a", "two words"],
        "outputs": outputs,
    }
    (site.recipe / "golden.json").write_text(json.dumps(document))


def sha256(site: BuildSite, name: str) -> str:
    return hashlib.sha256((site.root / "repo" / name).read_bytes()).hexdigest()


def checks_of(kit: Path) -> dict[str, dict[str, Any]]:
    document = json.loads((kit / "papers" / "checks.json").read_text())
    return {check["name"]: check for check in document["checks"]}


@pytest.mark.parametrize(("name", "fetched"), [("model.safetensors", False), ("config.json", True)])
def test_a_recording_of_other_files_is_refused_as_soon_as_it_is_known(
    site: BuildSite, name: str, fetched: bool
) -> None:
    """The Hub tells the sha256 of large files beforehand; that of a small one is known when it is there."""
    record(site, {name: "0" * 64})
    done = site.run("--rehearse", "off")
    assert done.returncode == 3, done.stderr
    assert "recorded outputs are not there, or not of the model in the lock" in done.stderr
    assert "recipe.yaml:15" in done.stderr
    assert f"recorded of {name} with sha256 {'0' * 64}, tiny in the lock has {sha256(site, name)}" in done.stderr
    assert ("model.safetensors" in fetched_files(site.hub)) is fetched
    assert not site.output.exists() or not list(site.output.iterdir())


def test_both_rehearsals_compare_and_measure(site: BuildSite) -> None:
    record(site, {name: sha256(site, name) for name in ("model.safetensors", "config.json")})
    for mode in ("full", "mounted"):
        kit = site.build("--rehearse", mode)
        found = checks_of(kit)
        assert found["echo"]["measured"] == {"largest_difference": 0.0}
        assert set(found["loads"]["measured"]) == {"cold_s", "warm_s"}, found["loads"]["detail"]
        (kit.rename(kit.with_name(mode)))
    record(site, {"config.json": sha256(site, "config.json")}, ("a", "other words"))
    done = site.run()
    assert done.returncode == 9
    assert '"two words": "two words" in the place of "other words"' in done.stderr
