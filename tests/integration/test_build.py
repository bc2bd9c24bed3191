"""``bundler build`` as a person types it, on real engines, from recipe to kit."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from bundler.core.kit import TrustPolicy
from bundler.core.progress import SilentProgress
from bundler.core.verify import verify_kit
from testbed.engines import RunningEngine
from tests.support.build_site import BUSYBOX, build_site, images_in


def standing_images(engine: RunningEngine) -> list[str]:
    """Names and ids, nameless ones too, but for what the builder keeps to be quick the next time."""
    return [line for line in images_in(engine) if not line.startswith("bundler.invalid/cache")]


@pytest.mark.engine
def test_a_recipe_becomes_a_kit_and_nothing_stays_in_the_engine(any_engine: RunningEngine, tmp_path: Path) -> None:
    with build_site(tmp_path, any_engine) as site:
        before = standing_images(any_engine)
        kit = site.build()
        assert verify_kit(kit, TrustPolicy(), SilentProgress()).problems == ()
        assert standing_images(any_engine) == before
        assert any(line.startswith(BUSYBOX) for line in before)
        subprocess.run(["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"], cwd=kit, check=True)
        assert [path.name for path in site.output.iterdir()] == [kit.name]

        lock = json.loads((site.recipe / "recipe.lock").read_bytes())
        assert lock["models"][0]["commit"] == site.hub.commit("acme/tiny")
        assert all(file["sha256"] for file in lock["models"][0]["files"])


@pytest.mark.engine
def test_a_second_build_of_the_same_images_gives_the_same_bundle(docker20: RunningEngine, tmp_path: Path) -> None:
    with build_site(tmp_path, docker20) as site:
        epoch = {"SOURCE_DATE_EPOCH": "1700000000"}
        first = (site.build("--rehearse", "off", env=epoch) / "SHA256SUMS").read_text()
        site.hub.forget_requests()
        second = (site.build("--rehearse", "off", env=epoch) / "SHA256SUMS").read_text()
        assert second == first
        assert site.hub.requests() == [], "everything was locked and here"


@pytest.mark.engine
def test_sources_that_look_for_the_hub_end_the_build(docker20: RunningEngine, tmp_path: Path) -> None:
    with build_site(tmp_path, docker20) as site:
        (site.recipe / "app.txt").write_text("import nltk\nnltk.download('punkt')\n")
        dockerfile = site.recipe / "Dockerfile"
        dockerfile.write_text(dockerfile.read_text().replace("/srv/app.txt", "/srv/app.py"))
        done = site.run("--rehearse", "off")
        assert done.returncode == 9, done.stderr
        assert "small:1.0.0:/srv/app.py:2:1: fetches: nltk.download" in done.stderr

        (site.recipe / "load.py").write_text("import nltk\nnltk.download('punkt')\n")
        site.hub.forget_requests()
        done = site.run("--rehearse", "off")
        assert done.returncode == 9, done.stderr
        assert "load.py:2:1: fetches: nltk.download" in done.stderr
        assert site.hub.requests() == [], "sources are looked at before anything is fetched"
        assert not site.kit.exists()


@pytest.mark.engine
def test_load_brings_the_composed_images_in_under_their_names(docker20: RunningEngine, tmp_path: Path) -> None:
    with build_site(tmp_path, docker20) as site:
        try:
            site.build("--rehearse", "off", "--load")
            shown = docker20.run("--network", "none", "small:1.0.0", "cat", "/app/models/tiny/config.json")
            assert "hidden_size" in shown
            labels = json.loads(docker20.docker("inspect", "--format", "{{json .Config.Labels}}", "small:1.0.0"))
            assert labels["tiny.model"] == f"acme/tiny@{site.hub.commit('acme/tiny')}"
        finally:
            docker20.docker("rmi", "small:1.0.0", "small:base")


@pytest.mark.engine
def test_the_mounted_rehearsal_runs_the_checks_before_anything_is_written(
    docker20: RunningEngine, tmp_path: Path
) -> None:
    with build_site(tmp_path, docker20) as site:
        site.build("--rehearse", "mounted", "--where-in-code")
        checks = json.loads((site.kit / "papers" / "checks.json").read_bytes())
        assert checks["rehearsal"] == "mounted"
        assert [(check["name"], check["no_egress"]["where_in_code"]) for check in checks["checks"]] == [
            ("answers", True)
        ]
        recipe = site.recipe / "recipe.yaml"
        recipe.write_text(recipe.read_text().replace("hidden_size", "no such text").replace("1.0.0\np", "2.0.0\np"))
        done = site.run("--rehearse", "mounted")
        assert done.returncode == 9
        assert "printed nothing like" in done.stderr
        assert [path.name for path in site.output.iterdir()] == [site.kit.name]


@pytest.mark.engine
def test_a_check_that_fails_in_the_rehearsal_leaves_no_kit(docker20: RunningEngine, tmp_path: Path) -> None:
    with build_site(tmp_path, docker20) as site:
        recipe = site.recipe / "recipe.yaml"
        recipe.write_text(recipe.read_text().replace("hidden_size", "no such text"))
        before = standing_images(docker20)
        done = site.run()
        assert done.returncode == 9, done.stderr
        assert "check answers: printed nothing like 'no such text'" in done.stderr
        assert not any(site.output.iterdir())
        assert standing_images(docker20) == before


@pytest.mark.engine
def test_what_cannot_be_proved_here_is_no_failure_and_stands_in_the_papers(
    docker20: RunningEngine, tmp_path: Path
) -> None:
    """The engine of the tests has no GPU."""
    with build_site(tmp_path, docker20) as site:
        with (site.recipe / "recipe.yaml").open("a") as recipe:
            recipe.write("  - { name: fast, run: [cat, /app/models/tiny/config.json], gpu: true }\n")
        done = site.run()
        assert done.returncode == 0, done.stderr
        assert "not proved here" in done.stdout
        checks = json.loads((site.kit / "papers" / "checks.json").read_bytes())["checks"]
        assert [
            (check["name"], check["passed"], check["proved_here"]) for check in checks if check["kind"] == "run"
        ] == [
            ("answers", True, True),
            ("fast", False, False),
        ]
        report = json.loads((site.kit / "papers" / "report.json").read_bytes())
        assert report["verdict"]["level"] == "partly"
        assert "Check fast" in [gap["what"] for gap in report["unproved"]]
