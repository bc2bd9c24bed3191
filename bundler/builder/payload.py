"""Files of a recipe that travel as they are: which files a pattern means, and none from outside the recipe."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from bundler.builder.recipe import Recipe
from bundler.core.errors import RecipeError

_MARKS = "*?["
# Names stand in `sha256sum -c` lists and on terminals: no control characters, no backslash.
_ODD = re.compile(r"[\x00-\x1f\x7f\\]")


class PayloadFault(Exception):  # noqa: N818 -- a finding that the reader of the recipe turns into a Problem
    """A pattern that cannot be carried: ``what`` is wrong and what would be right (``remedy``)."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(what)
        self.what = what
        self.remedy = remedy


@dataclass(frozen=True)
class PayloadFile:
    """``path`` in the bundle, relative; ``source`` is the regular file on disk."""

    path: PurePosixPath
    source: Path


def payload_of(recipe: Recipe) -> tuple[PayloadFile, ...]:
    """Every payload file once, sorted by path; raises RecipeError if one went away since the recipe was read."""
    found: dict[PurePosixPath, PayloadFile] = {}
    for index, pattern in enumerate(recipe.files):
        try:
            found.update((each.path, each) for each in expand(recipe.directory, pattern))
        except PayloadFault as error:
            where = recipe.where("files", index)
            raise RecipeError(error.what, where=where, remedy=error.remedy) from error
    return tuple(found[path] for path in sorted(found))


def expand(directory: Path, pattern: str) -> tuple[PayloadFile, ...]:
    """The files that ``pattern`` means; a directory means all files below it. Raises PayloadFault."""
    marked = any(mark in pattern for mark in _MARKS)
    try:
        matched: Iterable[Path] = directory.glob(pattern) if marked else [directory / pattern]
        found = [_payload_file(path, directory) for start in sorted(matched) for path in _files_at(start)]
    except (ValueError, OSError, RuntimeError) as error:
        # A pattern such as "**a", a directory that may not be read, links in a circle.
        raise PayloadFault(
            f"{pattern!r} cannot be looked up: {error}", "name readable files, such as conf/*.ini"
        ) from error
    if not found:
        what = f"no file fits {pattern!r}" if marked else f"{pattern!r} does not exist or is empty"
        raise PayloadFault(what, "name files that stand in the recipe's directory")
    return tuple(found)


def _files_at(start: Path) -> list[Path]:
    if start.is_dir():
        return sorted(path for path in start.rglob("*") if not path.is_dir())
    return [start] if start.exists() or start.is_symlink() else []


def _payload_file(path: Path, directory: Path) -> PayloadFile:
    shown = path.relative_to(directory).as_posix()
    real, root = path.resolve(), directory.resolve()
    if not real.is_relative_to(root):
        raise PayloadFault(f"{shown!r} leads outside the recipe, to {real}", "copy it into the recipe's directory")
    if not real.is_file():
        raise PayloadFault(f"{shown!r} is not a regular file", "name regular files")
    if _ODD.search(shown):
        raise PayloadFault(f"{shown!r} has control characters or a backslash in its name", "rename the file")
    return PayloadFile(PurePosixPath(shown), real)
