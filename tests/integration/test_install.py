"""Installing real kits into real engines: the ordinary ways."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from bundler.core.bundle import open_bundle
from bundler.core.errors import PreconditionError
from bundler.core.kit import TrustPolicy
from bundler.core.progress import SilentProgress, SilentTask
from bundler.installer.engine import GRAPH
from bundler.installer.rehearse import rehearse
from testbed.engines import RunningEngine
from tests.bundles import COMPOSE, make_bundle
from tests.sites import Site, saved, site_at


@pytest.fixture
def any_site(any_engine: RunningEngine, tmp_path: Path) -> Iterator[Site]:
    with site_at(any_engine, tmp_path / "state") as site:
        yield site


@pytest.fixture
def site(docker20: RunningEngine, tmp_path: Path) -> Iterator[Site]:
    with site_at(docker20, tmp_path / "state") as site:
        yield site


class Listening(SilentProgress):
    """Keeps the labels of tasks, and notes."""

    def __init__(self) -> None:
        self.labels: list[str] = []
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def task(self, label: str, total_size: int | None) -> SilentTask:
        self.labels.append(label)
        return SilentTask()

    @property
    def layers(self) -> list[str]:
        """The layers that were sent."""
        return [label for label in self.labels if "/" in label.split()[-2]]


def test_install_again_and_update(any_site: Site, tmp_path: Path) -> None:
    site = any_site
    before = site.standing()
    first = make_bundle(tmp_path / "kits", version="1.0.0")
    outcome = site.install(first)
    assert not outcome.already
    standing = site.standing()
    app, base = "bundler-test/service:1.0.0", "bundler-test/service:base"
    assert set(standing.names) - set(before.names) == {app, base}
    assert standing.images - before.images == {standing.names[app], standing.names[base]}
    assert standing.containers == before.containers
    assert site.running.run("--network", "none", app) == "hello\n"
    assert [check.passed for check in outcome.receipt.checks] == [True, True, True]
    assert (site.host.payload_dir("service-1.0.0-linux-amd64") / "compose.yaml").read_bytes() == COMPOSE

    again = Listening()
    assert site.install(first, again).already
    assert again.layers == []
    assert any("nothing to do" in note for note in again.notes)
    assert site.standing() == standing

    second = make_bundle(tmp_path / "kits", version="1.1.0", greeting="hello again")
    update = Listening()
    outcome = site.install(second, update)
    assert [label.split()[1:] for label in update.layers] == [["3/3", "app"]]
    bundle = open_bundle(second, TrustPolicy())
    assert [name.removeprefix("blobs/sha256/") for name in outcome.receipt.unread] == [
        layer.blob.digest.hex for layer in bundle.images[0].layers
    ]
    newer = "bundler-test/service:1.1.0"
    assert site.running.run("--network", "none", newer) == "hello again\n"
    assert site.running.run("--network", "none", app) == "hello\n"
    assert not site.audit().findings
    for name, count in ((base, 2), (app, 3), (newer, 3)):
        archive = saved(site, name)
        layers = archive["manifest"][0]["Layers"]
        assert len(layers) == count
        assert set(layers) <= set(archive["sizes"])
    assert [name for name in site.state_files() if name.startswith("journals")] == []


def test_a_changed_model_below_sends_again_only_what_the_store_cannot_place(any_site: Site, tmp_path: Path) -> None:
    site = any_site
    site.install(make_bundle(tmp_path / "a", version="1.0.0"))
    update = Listening()
    site.install(make_bundle(tmp_path / "b", version="1.1.0", model_seed=99), update)
    # A graph driver knows layers by all that stands below them, a containerd store by their blobs.
    expected = [1, 2, 3] if site.engine.facts().store == GRAPH else [1]
    assert [int(label.split()[1].split("/")[0]) for label in update.layers] == expected
    assert not site.audit().findings
    for name, count in (("bundler-test/service:base", 2), ("bundler-test/service:1.1.0", 3)):
        archive = saved(site, name)
        layers = archive["manifest"][0]["Layers"]
        assert len(layers) == count
        assert set(layers) <= set(archive["sizes"]), "an image whose save is incomplete would not travel on"


def test_moved_tag_update_keeps_the_former_image(site: Site, tmp_path: Path) -> None:
    site.install(make_bundle(tmp_path / "a", version="1.0.0", app_tag="stable"))
    former = site.standing().names["bundler-test/service:stable"]
    site.install(make_bundle(tmp_path / "b", version="1.1.0", app_tag="stable", greeting="hello two"))
    standing = site.standing()
    assert standing.names["bundler-test/service:stable"] != former
    assert former in standing.images
    assert site.running.run("--network", "none", former) == "hello\n"


def test_bare_tar(site: Site, tmp_path: Path) -> None:
    kit = make_bundle(tmp_path)
    outcome = site.install(next(kit.glob("*.tar")))
    assert outcome.receipt.tar_sum is None
    assert not site.audit().findings


def test_read_all_reads_what_is_held(site: Site, tmp_path: Path) -> None:
    site.install(make_bundle(tmp_path, version="1.0.0"))
    kit = make_bundle(tmp_path, version="1.1.0", greeting="hello again")
    outcome = site.install(kit, read_all=True)
    assert outcome.receipt.unread == ()


def test_missing_image_is_brought_again(site: Site, tmp_path: Path) -> None:
    kit = make_bundle(tmp_path)
    site.install(kit)
    standing = site.standing()
    site.running.docker("rmi", "bundler-test/service:1.0.0")
    assert not site.install(kit).already
    assert site.standing() == standing


def test_command_line(site: Site, tmp_path: Path) -> None:
    kit = make_bundle(tmp_path)
    done = site.run("install", kit, "--into", tmp_path / "srv", "--json", "--progress", "json")
    assert done.returncode == 0, done.stderr
    receipt = json.loads(done.stdout)
    assert not receipt["already"]
    assert receipt["into"] == str(tmp_path / "srv")
    assert [event["event"] for event in map(json.loads, done.stderr.splitlines())].count("step") == 6
    again = site.run("install", kit, "--into", tmp_path / "srv")
    assert again.returncode == 0
    assert "nothing to do" in again.stdout
    audited = site.run("audit", kit, "--json")
    assert audited.returncode == 0, audited.stdout
    assert json.loads(audited.stdout)["compared"]["images"] == 2
    assert site.run("install", "--undo").stdout == "nothing to undo\n"


def test_checks_run_again(site: Site, tmp_path: Path) -> None:
    assert site.run("check").returncode == 10
    site.install(make_bundle(tmp_path))
    before = site.standing()
    done = site.run("check", "service", "--json")
    assert done.returncode == 0, done.stderr
    assert [result["passed"] for result in json.loads(done.stdout)["service-1.0.0-linux-amd64"]] == [True] * 3
    assert site.run("check", "another").returncode == 10
    assert site.standing() == before
    site.running.docker("rmi", "bundler-test/service:1.0.0")
    done = site.run("check")
    assert done.returncode == 9
    assert "the image is gone" in done.stderr


def test_rehearsal_leaves_nothing(any_site: Site, tmp_path: Path) -> None:
    before = any_site.standing()
    kit = make_bundle(tmp_path)
    results = rehearse(kit, any_site.engine, tmp_path / "rehearsal", SilentProgress())
    assert [(result.kind, result.passed) for result in results] == [("models", True), ("models", True), ("run", True)]
    assert any_site.standing() == before
    assert sorted(path.name for path in (tmp_path / "rehearsal").rglob("*") if path.is_file()) == ["lock"]


def test_rehearsal_tells_failed_checks_and_leaves_what_was_there(site: Site, tmp_path: Path) -> None:
    site.install(make_bundle(tmp_path, version="1.0.0"))
    before = site.standing()
    kit = make_bundle(tmp_path, version="1.1.0", greeting="error")
    results = rehearse(kit, site.engine, tmp_path / "rehearsal", SilentProgress())
    assert [result.passed for result in results] == [True, True, False]
    assert "forbids" in results[-1].detail
    assert site.standing() == before


def test_payload_conflict_is_told_before_anything_is_sent(site: Site, tmp_path: Path) -> None:
    before = site.standing()
    kit = make_bundle(tmp_path)
    target = tmp_path / "srv"
    (target / "docs").mkdir(parents=True)
    (target / "compose.yaml").write_text("mine\n")
    (target / "docs/LICENSE").write_text("mine too\n")
    with pytest.raises(PreconditionError) as caught:
        site.install(kit, into=target)
    assert [Path(problem.where).name for problem in caught.value.problems] == ["compose.yaml", "LICENSE"]
    assert site.standing() == before
    assert (target / "compose.yaml").read_text() == "mine\n"

    site.install(kit, into=target, force=True)
    assert (target / "compose.yaml").read_bytes() == COMPOSE
    assert sorted(path.name for path in target.rglob("*")) == ["LICENSE", "compose.yaml", "docs"]


def test_update_replaces_our_own_files_but_not_changed_ones(site: Site, tmp_path: Path) -> None:
    target = tmp_path / "srv"
    site.install(make_bundle(tmp_path, version="1.0.0"), into=target)
    newer = {"compose.yaml": b"newer\n", "docs/LICENSE": b"newer\n"}
    kit = make_bundle(tmp_path, version="1.1.0", greeting="hello again", files=newer)
    site.install(kit, into=target)
    assert (target / "compose.yaml").read_bytes() == b"newer\n"
    (target / "compose.yaml").write_text("edited here\n")
    with pytest.raises(PreconditionError):
        site.install(make_bundle(tmp_path, version="1.2.0"), into=target)
