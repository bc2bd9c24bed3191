"""Disk space: asked in every place, summed where places share a disk."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from bundler.builder.space import Need, StorePlace, require_space
from bundler.core.errors import PreconditionError

MIB = 1 << 20


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """100 MiB are free everywhere; the places that were asked stand in the list."""
    asked: list[Path] = []

    def statvfs(place: Path) -> SimpleNamespace:
        asked.append(Path(place))
        return SimpleNamespace(f_bavail=100 * 256, f_frsize=4096, f_bfree=1 << 40)

    monkeypatch.setattr(os, "statvfs", statvfs)
    return asked


def test_what_fits_passes(tmp_path: Path, free: list[Path]) -> None:
    require_space([Need(tmp_path, 98 * MIB, "the kit")])
    require_space([])
    assert free == [tmp_path]


def test_what_does_not_fit_names_place_purpose_and_numbers(tmp_path: Path, free: list[Path]) -> None:
    with pytest.raises(PreconditionError, match="not enough disk space") as caught:
        require_space([Need(tmp_path, 200 * MIB, "the kit"), Need(tmp_path, 0, "models to be fetched")])
    assert caught.value.exit_code == 10
    (problem,) = caught.value.problems
    assert problem.where == str(tmp_path)
    assert problem.what == "204 MiB are needed and 100 MiB are free: the kit (200 MiB)"


def test_a_file_system_wants_a_little_more_than_the_content(tmp_path: Path, free: list[Path]) -> None:
    with pytest.raises(PreconditionError):
        require_space([Need(tmp_path, 99 * MIB, "the kit")])


def test_places_on_one_disk_are_summed(tmp_path: Path, free: list[Path]) -> None:
    needs = [Need(tmp_path / "out", 60 * MIB, "the kit"), Need(tmp_path / "cache", 60 * MIB, "models")]
    for need in needs:
        require_space([need])
    with pytest.raises(PreconditionError) as caught:
        require_space(needs)
    assert caught.value.problems[0].what.endswith("the kit (60 MiB), models (60 MiB)")


def test_places_on_two_disks_are_not(tmp_path: Path, free: list[Path]) -> None:
    other = Path("/proc")
    assert other.stat().st_dev != tmp_path.stat().st_dev
    require_space([Need(tmp_path, 60 * MIB, "the kit"), Need(other, 60 * MIB, "models")])
    with pytest.raises(PreconditionError) as caught:
        require_space([Need(tmp_path, 600 * MIB, "the kit"), Need(other, 600 * MIB, "models")])
    assert [problem.where for problem in caught.value.problems] == [str(tmp_path), "/proc"]


def test_a_place_that_does_not_exist_yet_is_its_nearest_parent(
    tmp_path: Path, free: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    require_space([Need(tmp_path / "a" / "b" / "c", MIB, "the kit")])
    (tmp_path / "file").write_text("in the way")
    require_space([Need(tmp_path / "file" / "below", MIB, "the kit")])
    monkeypatch.chdir(tmp_path)
    require_space([Need(Path("relative"), MIB, "the kit")])
    assert free == [tmp_path, tmp_path / "file", tmp_path]


def test_an_engine_takes_all_layers_and_the_largest_once_more(tmp_path: Path) -> None:
    place = StorePlace(tmp_path, peak_factor=2.0, kept_factor=1.0)
    assert place.need(300 * MIB, 100 * MIB, "images") == Need(tmp_path, 400 * MIB, "images")
    keeps_both = StorePlace(tmp_path, peak_factor=1.9, kept_factor=1.9)
    assert keeps_both.need(300 * MIB, 100 * MIB, "images").size == 570 * MIB
    assert StorePlace(tmp_path, 1.0, 1.5).need(100, 100, "images").size == 150
