"""Putting names and payload files back as they were before a run touched them; each step may be done twice."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Optional

from bundler.core.digest import Digest
from bundler.core.reference import Reference
from bundler.installer.engine import Engine
from bundler.installer.file_digest import digest_of
from bundler.installer.journal_file import BegunFile, MovedName


def restore_names(engine: Engine, names: Mapping[Reference, MovedName]) -> None:
    """Point each name that stands where the run put it at its former image again; others were moved by someone else."""
    changes: dict[Reference, Optional[Digest]] = {}
    for name, moved in names.items():
        held = engine.find(name)
        if held is not None and held.image_id == moved.new:
            former_stands = moved.former is not None and engine.find(moved.former) is not None
            changes[name] = moved.former if former_stands else None
    if changes:
        engine.set_names(changes)


def restore_files(files: Sequence[BegunFile], directories: Sequence[Path]) -> None:
    """Take away the files that the run placed, whole or not, bring back what stood there, remove the directories it made."""
    for file in reversed(files):
        if _stands(file.temporary):
            file.temporary.unlink()
        if file.backup is not None and _stands(file.backup):
            file.backup.replace(file.path)
        elif file.backup is None and digest_of(file.path) == file.sha256:
            file.path.unlink()
    for directory in reversed(directories):
        with contextlib.suppress(OSError):  # someone put something there, or it never came to be
            directory.rmdir()


def remove_backups(files: Iterable[BegunFile]) -> None:
    """The run is done: what stood there before is no longer needed."""
    for file in files:
        if file.backup is not None:
            file.backup.unlink(missing_ok=True)


def _stands(path: Path) -> bool:
    return path.is_symlink() or path.exists()
