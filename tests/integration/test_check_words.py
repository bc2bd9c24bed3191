"""What checks do not settle by passing or failing: peers that they allow, and GPUs that are not there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bundler.core.check_result import NOT_PROVED
from bundler.core.checks import RunCheck
from bundler.core.digest import Digest
from bundler.core.errors import CheckError
from bundler.core.progress import SilentProgress
from bundler.installer.checks.running import run_commands
from bundler.installer.engine import RunSpec
from bundler.installer.engines.docker import DockerEngine
from bundler.installer.rehearse import rehearse_mounted
from testbed.engines import RunningEngine
from tests.bundles import make_bundle
from tests.sites import site_at
from tests.support.calling_out import IMAGE, loaded, sh
from tests.support.docker_engines import ids_of
from tests.support.serving import check

_CALLS = "nslookup -type=a database >/dev/null; echo x | nc -w 1 203.0.113.9 5432; echo hello"
_PEERS = ("database", "203.0.113.9:5432")


def wants_gpu(name: str) -> RunCheck:
    return RunCheck(name, IMAGE, sh("echo hello"), 120.0, None, {}, (), True, (), ())


def test_calls_to_peers_are_told_and_are_no_fault(docker20: RunningEngine, tmp_path: Path) -> None:
    command = ("/bin/sh", "-c", _CALLS)
    with site_at(docker20, tmp_path / "state") as site:
        with pytest.raises(CheckError) as caught:
            site.install(make_bundle(tmp_path / "half", command=command, allow=_PEERS[:1]))
        (problem,) = caught.value.problems
        assert problem.what.startswith("tried to call out: TCP to 203.0.113.9 port 5432, ")
        assert "database" not in problem.what
        installed = site.run("install", make_bundle(tmp_path / "kit", command=command, allow=_PEERS))
        assert installed.returncode == 0, installed.stderr
        assert "greets: allowed: DNS: asked for database (A), " in installed.stdout
        told = json.loads(site.run("check", "--json").stdout)
        (no_egress,) = [each["no_egress"] for results in told.values() for each in results if "no_egress" in each]
        assert no_egress["attempts"] == []
        assert {(each["protocol"], each["name"] or each["address"]) for each in no_egress["allowed"]} == {
            ("DNS", "database"),
            ("TCP", "203.0.113.9"),
        }
        shown = site.run("check").stdout
        assert "greets: allowed: DNS: asked for database (A), " in shown
        assert "greets: allowed: TCP to 203.0.113.9 port 5432, " in shown


def test_every_engine_without_a_gpu_proves_nothing_and_goes_on(any_engine: RunningEngine) -> None:
    before = ids_of(any_engine)
    engine, image_id = loaded(any_engine)
    plain = RunCheck("plain", IMAGE, sh("echo hello"), 120.0, None, {}, (), False, (), ())
    checks = [wants_gpu("runs"), check("serves", sh("sleep 60"), needs_gpu=True), plain]
    results = run_commands(checks, {IMAGE: image_id}, engine, SilentProgress())
    left = any_engine.docker("ps", "--all", "--quiet").split()
    any_engine.docker("image", "rm", "--force", *(ids_of(any_engine) - before))
    assert [(each.kind, each.proved_here, each.passed, each.failed) for each in results] == [
        ("run", False, False, False),
        ("serve", False, False, False),
        ("run", True, True, False),
    ]
    for result in results[:2]:
        assert result.told == NOT_PROVED
        assert result.detail.startswith(f"{NOT_PROVED}: the engine has no GPU: could not select device driver")
        assert result.no_egress is None
    assert left == []


def test_a_mounted_rehearsal_without_a_gpu_is_no_failure(caller: tuple[DockerEngine, Digest]) -> None:
    engine, image_id = caller
    checks = [wants_gpu("runs")]
    (result,) = rehearse_mounted(checks, {IMAGE: image_id}, engine, RunSpec((), 0.0), SilentProgress())
    assert (result.proved_here, result.failed) == (False, False)


def test_what_was_not_proved_stands_in_receipts_and_tables(docker20: RunningEngine, tmp_path: Path) -> None:
    with site_at(docker20, tmp_path / "state") as site:
        installed = site.run("install", make_bundle(tmp_path, needs_gpu=True))
        assert installed.returncode == 0, installed.stderr
        assert "not proved here: the engine has no GPU" in installed.stdout
        (receipt,) = (tmp_path / "state").glob("receipts/*/*.json")
        *models, greets = json.loads(receipt.read_bytes())["checks"]
        assert models and all(each["passed"] for each in models)
        assert (greets["proved_here"], greets["passed"]) == (False, False)
        shown = site.run("check")
        assert shown.returncode == 0, shown.stderr
        assert [line.split()[:4] for line in shown.stdout.splitlines() if line.startswith("greets ")] == [
            ["greets", "not", "proved", "here"]
        ]
        (results,) = json.loads(site.run("check", "--json").stdout).values()
        assert results[-1]["proved_here"] is False
        assert site.run("audit").returncode == 0
