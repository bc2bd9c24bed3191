"""Which files belong to a kit, and what a host demands of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bundler.core.checksums import parse_sums, render_sums
from bundler.core.digest import Digest
from bundler.core.errors import BundleError, PreconditionError, Problem, SignatureError, UsageError
from bundler.core.kit import TrustPolicy, audit_kit_files, locate_kit, remedy_of, require_outside_kits
from tests.support.tiny_bundle import make_tiny_kit
from tests.support.unlisted import refuse_to_list

POLICY = TrustPolicy()


@pytest.fixture
def kit(tmp_path: Path) -> Path:
    return make_tiny_kit(tmp_path / "out")


def found(kit: Path) -> list[tuple[str, str]]:
    return [(problem.where, problem.what) for problem in audit_kit_files(locate_kit(kit, POLICY))]


def resum(kit: Path, change: dict[str, Digest | None]) -> None:
    sums: dict[str, Digest | None] = {**parse_sums((kit / "SHA256SUMS").read_bytes(), "x"), **change}
    (kit / "SHA256SUMS").write_bytes(render_sums({name: digest for name, digest in sums.items() if digest}))


def test_a_whole_kit_has_no_findings(kit: Path) -> None:
    assert found(kit) == []
    located = locate_kit(kit, POLICY)
    assert located.tar == kit / f"{kit.name}.tar"
    assert located.tar_sum == Digest.of(located.tar.read_bytes())
    assert locate_kit(located.tar, POLICY).tar_sum is None


def test_missing_changed_and_additional_files_are_told(kit: Path) -> None:
    (kit / "README.txt").write_text("other")
    (kit / "papers/checks.json").unlink()
    (kit / "papers/new").mkdir()
    (kit / "papers/new/file").touch()
    assert found(kit) == [
        ("papers/checks.json", "listed in SHA256SUMS, but missing"),
        ("papers/new/file", "not listed in SHA256SUMS"),
        ("README.txt", "changed: its digest is not the one in SHA256SUMS"),
    ]


@pytest.mark.parametrize("name", ["link", "fifo", "linked directory"])
def test_what_is_no_regular_file_does_not_belong(kit: Path, name: str) -> None:
    if name == "fifo":
        os.mkfifo(kit / name)
    else:
        (kit / name).symlink_to("head" if name == "linked directory" else "README.txt")
    assert found(kit) == [(f"{name} (not a regular file)", "not listed in SHA256SUMS")]


def test_a_listed_file_that_became_a_link_is_missing(kit: Path) -> None:
    (kit / "README.txt").rename(kit.parent / "README.txt")
    (kit / "README.txt").symlink_to("../README.txt")
    assert ("README.txt", "listed in SHA256SUMS, but missing") in found(kit)


def test_each_problem_says_how_the_file_differs(kit: Path) -> None:
    """By what was compared and not by a name, which may hold any word."""
    (kit / "README.txt").unlink()
    (kit / "papers/missing").touch()
    (kit / "papers/checks.json").write_text("not listed")
    resum(kit, {"papers/not listed": Digest("0" * 64), "head/bundle.json": None, "head/MEMBERS": None})
    (kit / "head/MEMBERS").unlink()
    problems = audit_kit_files(locate_kit(kit, POLICY))
    assert {problem.where: problem.difference for problem in problems} == {
        "README.txt": "missing",
        "papers/not listed": "missing",
        "papers/missing": "extra",
        "papers/checks.json": "changed",
        "head/bundle.json": "extra",
        "head/MEMBERS": "missing",
    }
    assert len(problems) == 6


def test_sums_must_cover_the_head(kit: Path) -> None:
    resum(kit, {"head/bundle.json": None})
    assert found(kit) == [("head/bundle.json", "not listed in SHA256SUMS")]


def test_sums_must_name_one_tar(kit: Path) -> None:
    for change in ({"other.tar": Digest("0" * 64)}, {"other.tar": None, f"{kit.name}.tar": None}):
        resum(kit, dict(change))
        with pytest.raises(BundleError, match="no bundle, or more than one"):
            locate_kit(kit, POLICY)


def test_a_signature_that_cannot_be_checked_is_not_passed_over(kit: Path) -> None:
    (kit / "SHA256SUMS.alice.sig").write_text("x")
    with pytest.raises(SignatureError, match="alice"):
        locate_kit(kit, POLICY)


def test_a_directory_that_is_no_kit(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="not a kit"):
        locate_kit(tmp_path, POLICY)
    (tmp_path / "SHA256SUMS").write_bytes(b"")
    with pytest.raises(BundleError, match="no bundle"):
        locate_kit(tmp_path, POLICY)
    with (tmp_path / "SHA256SUMS").open("wb") as stream:
        stream.truncate(17 << 20)
    with pytest.raises(BundleError, match="size"):
        locate_kit(tmp_path, POLICY)


def test_a_medium_that_gives_nothing_is_a_finding(kit: Path) -> None:
    """A name that the file system does not read: the same as a bad sector for the caller."""
    with pytest.raises(PreconditionError):
        locate_kit(kit / "README.txt" / "x", POLICY)


def test_nothing_is_to_be_written_inside_a_kit(kit: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(kit / "papers")
    for inside in (kit, kit / "page.html", kit / "new" / "deep", tmp_path / "link" / "page.html"):
        with pytest.raises(UsageError, match="inside the kit") as refused:
            require_outside_kits(inside, "--output DIR")
        assert "--output DIR" in refused.value.remedy
    for outside in (kit.parent, kit.with_name(f"{kit.name}-report.html"), tmp_path / "SHA256SUMS"):
        require_outside_kits(outside, "--output DIR")


def test_a_file_too_many_is_to_be_moved_and_a_changed_one_to_be_brought_again(kit: Path) -> None:
    (kit / "notes").touch()
    assert "move what does not belong" in remedy_of(audit_kit_files(locate_kit(kit, POLICY)))
    inside = Problem("model m, layer", "more.bin is not a file of the model", "bring the bundle here again", "extra")
    assert "bring the kit here again" in remedy_of([inside])
    (kit / "README.txt").write_text("changed")
    assert "bring the kit here again" in remedy_of(audit_kit_files(locate_kit(kit, POLICY)))


def test_a_directory_that_cannot_be_listed_is_a_finding(kit: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (kit / "hidden").mkdir()
    refuse_to_list("hidden", monkeypatch)
    assert [where for where, _ in found(kit)] == ["hidden (cannot be listed: Permission denied)"]


def test_links_that_lead_in_a_circle_are_outside_of_kits(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    require_outside_kits(tmp_path / "loop" / "page.html", "--output DIR")
    require_outside_kits(tmp_path / ("x" * 300), "--output DIR")
