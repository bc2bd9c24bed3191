"""Folders of one step, and what killed runs left of them."""

from __future__ import annotations

import os
from pathlib import Path

from bundler.builder.engine_build.workplace import temporary_folder


def old(folder: Path) -> Path:
    (folder / "file").parent.mkdir(parents=True, exist_ok=True)
    (folder / "file").write_text("left")
    os.utime(folder, (1, 1))
    return folder


def test_a_folder_goes_with_its_block(tmp_path: Path) -> None:
    with temporary_folder(tmp_path / "work", "build-") as folder:
        (folder / "sub").mkdir()
        assert folder.parent == tmp_path / "work"
    assert list((tmp_path / "work").iterdir()) == []


def test_what_a_killed_run_left_is_removed_and_what_lives_is_not(tmp_path: Path) -> None:
    dead, other = old(tmp_path / "build-dead"), old(tmp_path / "outputs")
    with temporary_folder(tmp_path, "build-") as living:
        os.utime(living, (1, 1))
        with temporary_folder(tmp_path, "build-"):
            assert (living.exists(), dead.exists(), other.exists()) == (True, False, True)
