"""``bundler report``: of a kit as it was built, of what is installed, and of nothing that was changed on the way."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bundler.cli.main import run
from bundler.core.bundle import open_bundle
from bundler.core.kit import TrustPolicy
from bundler.core.report import evidence_of_kit, render_html, render_json
from testbed.engines import RunningEngine
from tests.bundles import make_bundle, write_sums
from tests.sites import Site, clean_env, require_three_lines, site_at
from tests.support.build_site import build_site

pytestmark = pytest.mark.engine


def read(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(path.read_bytes())
    return document


def test_a_kit_carries_its_report_and_gives_the_same_again(docker20: RunningEngine, tmp_path: Path) -> None:
    with build_site(tmp_path, docker20) as site:
        recipe = site.recipe / "recipe.yaml"
        recipe.write_text(recipe.read_text().replace("[cat, /app", "[sh, -c, 'exec 3<$0; sleep 3; cat $0', /app"))
        kit = site.build()
    checks, report = read(kit / "papers/checks.json"), read(kit / "papers/report.json")
    assert report["verdict"]["level"] == "proved"
    assert report["proved"] == checks["proved"]
    assert report["proved"]["engine"]["version"] == docker20.version
    assert report["proved"]["engine"]["kernel"]
    assert report["bundle"]["digest"] == checks["bundle"]["digest"]
    (answers,) = [check for check in report["checks"] if check["name"] == "answers"]
    assert answers["no_egress"]["control"]["name"] == "control.bundler.invalid"
    (timeline,) = answers["no_egress"]["timelines"]
    assert [load["path"] for load in timeline["loads"]] == ["/app/models/tiny/config.json"]
    assert any(process["command"].startswith("sleep") for process in timeline["processes"])
    page = (kit / "papers/report.html").read_text()
    assert "/app/models/tiny/config.json" in page.partition("The start, as it was seen")[2]

    evidence = evidence_of_kit(open_bundle(kit, TrustPolicy()))
    assert render_html(evidence).decode() == page
    assert render_json(evidence) == (kit / "papers/report.json").read_bytes()
    assert run(["report", str(kit), "--output", str(tmp_path / "again")]) == 0
    assert (tmp_path / "again" / f"{kit.name}-report.html").read_text() == page


def test_a_kit_with_changed_papers_gets_no_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kit = kit_with_papers(tmp_path)
    assert run(["report", str(kit), "--output", str(tmp_path / "first")]) == 0
    checks = kit / "papers/checks.json"
    checks.write_bytes(checks.read_bytes().replace(b"mounted", b"full"))
    assert run(["report", str(kit), "--output", str(tmp_path / "second")]) == 6
    assert "papers/checks.json: changed" in capsys.readouterr().err
    assert not (tmp_path / "second").exists()


def test_a_kit_without_papers_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kit = make_bundle(tmp_path)
    assert run(["report", str(kit), "--output", str(tmp_path / "none")]) == 10
    assert "there are no papers to report on" in capsys.readouterr().err
    assert run(["report", str(next(kit.glob("*.tar"))), "--output", str(tmp_path / "none")]) == 10
    assert "a tar alone carries none" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


def kit_with_papers(directory: Path) -> Path:
    kit = make_bundle(directory)
    (kit / "papers").mkdir()
    (kit / "papers/checks.json").write_text('{"checks":[],"rehearsal":"mounted"}\n')
    write_sums(kit)
    return kit


def test_what_is_installed_is_reported(docker20: RunningEngine, tmp_path: Path) -> None:
    kit = make_bundle(tmp_path / "kits", command=("/bin/sh", "-c", "sleep 3; cat /app/greeting"))
    with site_at(docker20, tmp_path / "site") as site:
        require_three_lines(site.run("report"), 10, "nothing was installed here")
        site.install(kit)
        done = site.run("report", "service", "--output", tmp_path / "reports", "--json")
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)
        assert told["written"]["page"] == str(tmp_path / "reports/service-1.0.0-linux-amd64-report.html")
        assert told["report"] == read(Path(told["written"]["json"]))
        assert told["report"]["origin"] == "install"
        assert told["report"]["verdict"]["headline"] == "Proved: 3 of 3 checks passed, and nothing tried to call out"
        (greets,) = [check for check in told["report"]["checks"] if check["name"] == "greets"]
        assert greets["no_egress"]["timelines"][0]["processes"][0]["pid"] == 1
        assert reported_here(site, tmp_path) == f"{kit.name}-report.html"


def reported_here(site: Site, directory: Path) -> str:
    """Without a name, in a directory that has the bundle's name as another one: the only bundle that is installed."""
    here = directory / "here"
    (here / "service").mkdir(parents=True)
    argv = [sys.executable, "-m", "bundler"]
    options = ["--host", site.running.base_url, "--state-dir", str(site.host.state)]
    for name in ([], ["service"]):
        subprocess.run([*argv, "report", *name, *options], cwd=here, env=clean_env(), check=True, capture_output=True)
    (page,) = here.glob("*.html")
    return page.name
