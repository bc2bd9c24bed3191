"""Placing payload files on the host: whole or not at all, undone with the run, and never over someone's changes.

A file that an earlier install of the same bundle's name placed, and that nobody has changed since, is ours to
replace. Anything else that stands in the way is a conflict, said before anything is sent; ``force`` overrides it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bundler.core.atomic import atomic_file, sync_directory
from bundler.core.bundle import VerifiedBundle
from bundler.core.bundle_manifest import PayloadFile
from bundler.core.digest import CHUNK_BYTES
from bundler.core.errors import PreconditionError, Problem
from bundler.core.kit import require_outside_kits
from bundler.core.progress import Progress
from bundler.installer.file_digest import digest_of
from bundler.installer.journal import Journal
from bundler.installer.journal_file import BegunFile
from bundler.installer.receipt import PlacedFile

# Both carry the run's id, so that the run that undoes this one knows them, and takes nobody else's file for them.
_BACKUP = ".{name}.before-{run_id}"
_TEMPORARY = ".{name}.{run_id}.part"


@dataclass(frozen=True)
class FilePlan:
    """Where payload files go: ``standing`` are there already, ``new`` are to be written."""

    directory: Path
    standing: tuple[PayloadFile, ...]
    new: tuple[PayloadFile, ...]

    @property
    def new_size(self) -> int:
        """Bytes to be written."""
        return sum(file.size for file in self.new)


def plan_files(bundle: VerifiedBundle, directory: Path, ours: Iterable[PlacedFile], *, force: bool) -> FilePlan:
    """What is to be written to the absolute ``directory``; ``ours`` are the files that an earlier install placed.

    Raises UsageError for a directory inside a kit, PreconditionError with every file that stands in the way.
    """
    require_outside_kits(directory, "--into DIR")
    own = {file.path: file.sha256 for file in ours}
    standing, new, conflicts = [], [], []
    for file in bundle.manifest.files:
        path = directory / file.path
        found = digest_of(path)
        if found == file.sha256:
            standing.append(file)
        elif force or not os.path.lexists(path) or (found is not None and own.get(path) == found):
            new.append(file)
        else:
            conflicts.append(Problem(str(path), "is there and differs from the bundle's"))
    _require_free(directory, (*conflicts, *_blocked(directory, new)))
    return FilePlan(directory, tuple(standing), tuple(new))


def _blocked(directory: Path, files: Sequence[PayloadFile]) -> list[Problem]:
    """A directory where a file goes, or a file where a directory has to be."""
    problems = []
    for file in files:
        path = directory / file.path
        if path.is_dir() and not path.is_symlink():
            problems.append(Problem(str(path), "is a directory"))
        parents = [path.parents[depth] for depth in range(len(Path(file.path).parents))]
        problems += [
            Problem(str(parent), "is not a directory")
            for parent in parents
            if os.path.lexists(parent) and not parent.is_dir()
        ]
    return list(dict.fromkeys(problems))


def _require_free(directory: Path, problems: Sequence[Problem]) -> None:
    if problems:
        raise PreconditionError(
            "payload files would overwrite what is there",
            where=str(directory),
            remedy="move these files away, name another directory with --into DIR, or give --force to replace files",
            problems=problems,
        )


def place_files(bundle: VerifiedBundle, plan: FilePlan, journal: Journal, progress: Progress) -> tuple[PlacedFile, ...]:
    """Write what is to be written; gives all payload files as they stand now."""
    with progress.task("payload files", plan.new_size) as task:
        for file in plan.new:
            _place(bundle, file, plan.directory, journal)
            task.advance(file.size)
    return tuple(PlacedFile(plan.directory / file.path, file.size, file.sha256) for file in bundle.manifest.files)


def _place(bundle: VerifiedBundle, file: PayloadFile, directory: Path, journal: Journal) -> None:
    path = directory / file.path
    backup = None
    if os.path.lexists(path):
        backup = path.with_name(_BACKUP.format(name=path.name, run_id=journal.run_id))
    temporary = path.with_name(_TEMPORARY.format(name=path.name, run_id=journal.run_id))
    journal.begin_file(BegunFile(path, file.sha256, backup, temporary), _missing_parents(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    if backup is not None:
        path.replace(backup)
        sync_directory(path.parent)
    with bundle.open_payload(file) as content:
        chunk = content.read(CHUNK_BYTES)
        with atomic_file(path, _mode(chunk), temporary) as target:
            while chunk:
                target.write(chunk)
                chunk = content.read(CHUNK_BYTES)


def _mode(begin: bytes) -> int:
    """The format keeps no modes: what names its interpreter is a program."""
    return 0o755 if begin.startswith(b"#!") else 0o644


def _missing_parents(path: Path) -> list[Path]:
    """The directories that have to be made, outermost first."""
    return [parent for parent in reversed(path.parents) if not parent.exists()]
