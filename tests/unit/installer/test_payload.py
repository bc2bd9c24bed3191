"""Which payload files are written, left alone or in the way, and putting them back."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from bundler.core.bundle import VerifiedBundle, open_bundle
from bundler.core.digest import Digest
from bundler.core.errors import PreconditionError, UsageError
from bundler.core.kit import TrustPolicy
from bundler.core.progress import SilentProgress
from bundler.installer.engine import Engine
from bundler.installer.host import Host
from bundler.installer.journal import open_journal
from bundler.installer.journal_file import BegunFile
from bundler.installer.payload import place_files, plan_files
from bundler.installer.receipt import PlacedFile
from bundler.installer.undo import remove_backups, restore_files
from tests.bundles import COMPOSE, make_bundle


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> VerifiedBundle:
    return open_bundle(make_bundle(tmp_path_factory.mktemp("medium")), TrustPolicy())


def new(bundle: VerifiedBundle, target: Path, ours: tuple[PlacedFile, ...] = (), *, force: bool = False) -> list[str]:
    return [file.path for file in plan_files(bundle, target, ours, force=force).new]


def test_nothing_there(bundle: VerifiedBundle, tmp_path: Path) -> None:
    plan = plan_files(bundle, tmp_path / "srv", (), force=False)
    assert [file.path for file in plan.new] == ["compose.yaml", "docs/LICENSE"]
    assert plan.new_size == len(COMPOSE) + 5


def test_same_file_stands(bundle: VerifiedBundle, tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_bytes(COMPOSE)
    assert new(bundle, tmp_path) == ["docs/LICENSE"]


def test_differing_file_is_in_the_way_unless_it_is_ours(bundle: VerifiedBundle, tmp_path: Path) -> None:
    path = tmp_path / "compose.yaml"
    path.write_bytes(b"older\n")
    with pytest.raises(PreconditionError) as caught:
        new(bundle, tmp_path)
    assert [problem.where for problem in caught.value.problems] == [str(path)]
    ours = PlacedFile(path, 6, Digest.of(b"older\n"))
    assert new(bundle, tmp_path, (ours,)) == ["compose.yaml", "docs/LICENSE"]
    edited = PlacedFile(path, 6, Digest.of(b"as placed\n"))
    with pytest.raises(PreconditionError):
        new(bundle, tmp_path, (edited,))
    assert new(bundle, tmp_path, force=True) == ["compose.yaml", "docs/LICENSE"]


@pytest.mark.parametrize("force", [False, True])
def test_directories_and_files_in_each_others_place(bundle: VerifiedBundle, tmp_path: Path, force: bool) -> None:
    (tmp_path / "compose.yaml").mkdir()
    (tmp_path / "docs").write_text("a file")
    with pytest.raises(PreconditionError) as caught:
        new(bundle, tmp_path, force=force)
    told = {Path(problem.where).name for problem in caught.value.problems}
    assert {"compose.yaml", "docs"} <= told


def test_link_is_in_the_way(bundle: VerifiedBundle, tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(COMPOSE)
    (tmp_path / "compose.yaml").symlink_to("real")
    with pytest.raises(PreconditionError):
        new(bundle, tmp_path)


def test_never_inside_the_kit(bundle: VerifiedBundle) -> None:
    assert bundle.kit.directory
    for inside in (bundle.kit.directory, bundle.kit.directory / "more"):
        with pytest.raises(UsageError):
            new(bundle, inside)


def test_what_names_its_interpreter_is_placed_as_a_program(tmp_path: Path) -> None:
    files = {"dev.sh": b"#!/bin/sh\n", "compose.yaml": COMPOSE, "empty": b""}
    bundle = open_bundle(make_bundle(tmp_path / "medium", files=files), TrustPolicy())
    plan = plan_files(bundle, tmp_path / "srv", (), force=False)
    with open_journal(Host(tmp_path / "state"), tmp_path, cast("Engine", None), "engine", SilentProgress()) as journal:
        placed = place_files(bundle, plan, journal, SilentProgress())
    assert {each.path.name: each.path.stat().st_mode & 0o777 for each in placed} == {
        "dev.sh": 0o755,
        "compose.yaml": 0o644,
        "empty": 0o644,
    }


def begun(path: Path, backup: Path | None = None) -> BegunFile:
    return BegunFile(path, Digest.of(b"ours"), backup, path.with_name(f".{path.name}.run.part"))


def test_files_are_put_back_and_again(tmp_path: Path) -> None:
    made = tmp_path / "made"
    made.mkdir()
    placed, replaced, backup = made / "placed", tmp_path / "replaced", tmp_path / ".replaced.before"
    placed.write_bytes(b"ours")
    replaced.write_bytes(b"ours")
    backup.write_bytes(b"theirs")
    edited = tmp_path / "edited"
    edited.write_bytes(b"someone's since")
    files = [begun(placed), begun(replaced, backup), begun(edited)]
    for _ in range(2):
        restore_files(files, [made])
        assert sorted(path.name for path in tmp_path.iterdir()) == ["edited", "replaced"]
        assert replaced.read_bytes() == b"theirs"


def test_killed_before_the_former_file_was_moved(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"theirs")
    restore_files([begun(path, tmp_path / ".file.before")], [])
    assert path.read_bytes() == b"theirs"
    remove_backups([begun(path, tmp_path / ".file.before")])


def test_killed_while_a_file_was_written(tmp_path: Path) -> None:
    made = tmp_path / "made"
    made.mkdir()
    files = [begun(made / "file"), begun(tmp_path / "blocked" / "file")]
    files[0].temporary.write_bytes(b"ou")
    (tmp_path / "blocked").write_bytes(b"someone's, where a directory was to be made")
    restore_files(files, [made])
    assert [path.name for path in tmp_path.iterdir()] == ["blocked"]
