"""Audits of real installs: what was altered is found and named, and nothing else is."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bundler.core.errors import BundleError, PreconditionError
from bundler.installer.audit_report import AuditReport
from testbed.engines import DOCKER_20, DOCKER_28_CONTAINERD, EngineKind, RunningEngine
from tests.bundles import make_bundle, tar_of
from tests.sites import Site, site_at

APP, BASE = "docker.io/bundler-test/service:1.0.0", "docker.io/bundler-test/service:base"


@pytest.fixture
def site(docker20: RunningEngine, tmp_path: Path) -> Iterator[Site]:
    with site_at(docker20, tmp_path / "state") as site:
        yield site


@pytest.fixture
def kit(site: Site, tmp_path: Path) -> Path:
    kit = make_bundle(tmp_path / "medium")
    site.install(kit, into=tmp_path / "srv")
    return kit


def findings(report: AuditReport) -> list[tuple[str, str, str]]:
    return [(item.kind, item.subject, item.where) for item in report.findings]


def test_unaltered_host_gives_no_finding(any_engine: RunningEngine, tmp_path: Path) -> None:
    with site_at(any_engine, tmp_path / "state") as site:
        kit = make_bundle(tmp_path / "medium")
        site.install(kit)
        before = site.standing()
        for report in (site.audit(kit), site.audit()):
            assert report.findings == ()
            assert (report.images, report.model_files, report.payload_files) == (2, 6, 2)
            assert report.kits == (str(kit),)
        assert site.standing() == before


def test_tag_moved_to_another_image(any_engine: RunningEngine, tmp_path: Path) -> None:
    with site_at(any_engine, tmp_path / "state") as site:
        kit = make_bundle(tmp_path / "medium")
        site.install(kit)
        site.running.docker("tag", BASE, APP)
        assert findings(site.audit(kit)) == [("changed", "image", APP)]


def test_image_removed(site: Site, kit: Path) -> None:
    site.running.docker("rmi", "--force", APP)
    report = site.audit(kit)
    assert findings(report) == [("missing", "image", APP)]


@pytest.mark.parametrize("kind", [DOCKER_20, DOCKER_28_CONTAINERD], ids=lambda kind: kind.name)
def test_model_altered_in_the_store(
    kind: EngineKind, start_engine: Callable[[EngineKind], RunningEngine], tmp_path: Path
) -> None:
    running = start_engine(kind)
    with site_at(running, tmp_path / "state") as site:
        kit = make_bundle(tmp_path / "medium")
        site.install(kit)
        weights, config, extra = _files_in_store(running)
        content = bytearray(weights.read_bytes())
        content[100] ^= 1  # as long as before
        weights.write_bytes(content)
        config.unlink()
        extra.write_text("not in the lock\n")
        expected = [
            (change, "model", f"{name} /app/models/tiny/{file}")
            for name in (BASE, APP)
            for change, file in (
                ("missing", "config.json"),
                ("extra", "extra.bin"),
                ("changed", "model.safetensors"),
            )
        ]
        assert findings(site.audit()) == expected


@pytest.mark.parametrize("kind", [DOCKER_20, DOCKER_28_CONTAINERD], ids=lambda kind: kind.name)
def test_layer_of_an_image_without_a_model_is_lost(
    kind: EngineKind, start_engine: Callable[[EngineKind], RunningEngine], tmp_path: Path
) -> None:
    """Nothing of the image is read; that a container can be made of it is what the audit knows of its layers."""
    running = start_engine(kind)
    with site_at(running, tmp_path / "state") as site:
        site.install(make_bundle(tmp_path / "medium", sidecar=True))
        assert site.audit().findings == ()
        (marker,) = in_store(running, "sidecar/marker")
        shutil.rmtree(marker.parent.parent)
        report = site.audit()
        assert findings(report) == [("changed", "image", "docker.io/bundler-test/service-sidecar:1.0.0")]
        assert "no container can be made" in report.findings[0].what
        assert site.standing().containers == frozenset()


def _files_in_store(running: RunningEngine) -> tuple[Path, Path, Path]:
    """The model's weights, a file to remove and one to add, where the engine keeps the unpacked layer."""
    (weights,) = in_store(running, "app/models/tiny/model.safetensors")
    return weights, weights.with_name("config.json"), weights.with_name("extra.bin")


def in_store(running: RunningEngine, path: str) -> list[Path]:
    """Where that file of an image stands below the engine's folder, which it goes on tidying up meanwhile."""
    folders = (Path(folder) for folder, _, _ in os.walk(running.data_root.parent))
    found = [folder / Path(path).name for folder in folders if folder.match(str(Path(path).parent))]
    return [place for place in found if "merged" not in place.parts and place.is_file()]


def test_part_of_the_kit_altered(site: Site, kit: Path) -> None:
    (kit / "README.txt").write_text("type something else\n")
    (kit / "more").write_text("not of the kit\n")
    (kit / "head" / "MEMBERS").unlink()
    assert sorted(findings(site.audit(kit)))[:3] == [
        ("changed", "kit", "README.txt"),
        ("extra", "kit", "more"),
        ("missing", "kit", "head/MEMBERS"),
    ]


def test_bundle_of_the_kit_altered(site: Site, kit: Path) -> None:
    with tar_of(kit).open("r+b") as stream:
        stream.seek(20_000)
        stream.write(b"\0\0\0\0")
    found = findings(site.audit())
    assert ("changed", "kit", tar_of(kit).name) in found
    assert {(kind, subject) for kind, subject, _ in found} == {("changed", "kit")}


def tar_is_gone(kit: Path) -> None:
    tar_of(kit).unlink()


def sums_are_gone(kit: Path) -> None:
    (kit / "SHA256SUMS").unlink()


def signed_by_someone(kit: Path) -> None:
    (kit / "SHA256SUMS.someone.sig").write_text("not ours\n")


@pytest.mark.parametrize(
    ("alter", "kind", "told"),
    [
        (tar_is_gone, "missing", "service-1.0.0-linux-amd64.tar is missing"),
        (sums_are_gone, "missing", "it holds no SHA256SUMS"),
        (signed_by_someone, "extra", "SHA256SUMS.someone.sig"),
        (shutil.rmtree, "missing", "no such file"),
    ],
)
def test_frame_of_the_kit_altered(site: Site, kit: Path, alter: Callable[[Path], None], kind: str, told: str) -> None:
    """The kit cannot be read at all: that is a finding, and all the rest is audited."""
    site.running.docker("rmi", "--force", APP)
    alter(kit)
    done = site.run("audit", kit, "--json")
    assert done.returncode == 9, done.stderr
    report = json.loads(done.stdout)
    (finding,) = [item for item in (*report["missing"], *report["extra"], *report["changed"]) if item["where"] != APP]
    assert (finding["kind"], finding["subject"], finding["where"]) == (kind, "kit", str(kit))
    assert told in finding["what"]
    assert [item["where"] for item in report["missing"] if item["subject"] == "image"] == [APP]
    assert json.loads(site.host.log_path.read_text().splitlines()[-1])[kind] == report[kind]


@pytest.mark.parametrize("alter", [tar_is_gone, sums_are_gone, signed_by_someone])
def test_frame_of_the_kit_altered_and_nobody_named_it(site: Site, kit: Path, alter: Callable[[Path], None]) -> None:
    alter(kit)
    kind = "extra" if alter is signed_by_someone else "missing"
    assert findings(site.audit()) == [(kind, "kit", str(kit))]


def test_damaged_kit_that_was_moved_is_known_by_its_name(site: Site, kit: Path, tmp_path: Path) -> None:
    moved = tmp_path / "another" / kit.name
    shutil.copytree(kit, moved)
    sums_are_gone(moved)
    assert findings(site.audit(moved)) == [("missing", "kit", str(moved))]
    with pytest.raises(BundleError, match="not a kit"):
        site.audit(moved.parent)
    with pytest.raises(PreconditionError, match="no such file"):
        site.audit(tmp_path / "nowhere" / kit.name)


def test_payload_files_altered(site: Site, kit: Path, tmp_path: Path) -> None:
    (tmp_path / "srv" / "compose.yaml").write_text("edited\n")
    (tmp_path / "srv" / "docs" / "LICENSE").unlink()
    assert findings(site.audit(kit)) == [
        ("changed", "file", str(tmp_path / "srv" / "compose.yaml")),
        ("missing", "file", str(tmp_path / "srv" / "docs" / "LICENSE")),
    ]


def test_audit_without_the_kit_says_so(site: Site, kit: Path) -> None:
    shutil.rmtree(kit)
    report = site.audit()
    assert report.findings == ()
    assert report.kits == ()
    assert "no longer" in report.notes[0]


def test_another_kit_is_not_what_was_installed(site: Site, kit: Path, tmp_path: Path) -> None:
    other = make_bundle(tmp_path / "other", greeting="hello other")
    assert ("changed", "kit", str(other)) in findings(site.audit(other))
    with pytest.raises(PreconditionError):
        site.audit(make_bundle(tmp_path / "other", version="9.0.0"))


def test_nothing_installed(site: Site) -> None:
    with pytest.raises(PreconditionError):
        site.audit()


def test_log_is_chained(site: Site, kit: Path) -> None:
    site.audit(kit)
    lines = site.host.log_path.read_text().splitlines()
    assert [json.loads(line)["event"] for line in lines] == ["install", "audit"]
    lines[0] = lines[0].replace("1.0.0", "1.0.1")
    site.host.log_path.write_text("\n".join(lines) + "\n")
    assert findings(site.audit(kit)) == [("changed", "log", f"{site.host.log_path}, line 2")]


def test_command_line_lists_and_ends_with_nine(site: Site, kit: Path) -> None:
    assert site.run("audit", kit).returncode == 0
    site.running.docker("rmi", "--force", APP)
    done = site.run("audit", kit)
    assert done.returncode == 9
    assert f"missing:\n  image {APP}: the engine has no image of that name\n1 differences" in done.stdout
    as_json = json.loads(site.run("audit", "--json").stdout)
    assert [item["where"] for item in as_json["missing"]] == [APP]
    assert as_json["extra"] == as_json["changed"] == []
