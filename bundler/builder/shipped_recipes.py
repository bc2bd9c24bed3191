"""The recipes that come with bundler, to start from: ``recipes/`` of a checkout, or of the package where it is installed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from bundler.builder.lock import LOCK_FILE
from bundler.builder.new_recipe import NewFile
from bundler.builder.recipe import RECIPE_FILE
from bundler.core.errors import UsageError

_PACKAGE = Path(__file__).parents[1]
#: A wheel carries them inside the package; an editable install has the checkout around it.
_PLACES = (_PACKAGE / "recipes", _PACKAGE.parent / "recipes")
#: What tools leave behind, and the lock, which belongs to who builds.
LEFT_BEHIND = (LOCK_FILE, "__pycache__", "*.pyc", ".venv", ".git", ".cache", ".*_cache", "dist", "build")


def shipped_recipes() -> tuple[str, ...]:
    """Their names, sorted: each directory with a ``recipe.yaml``."""
    return tuple(sorted(path.parent.name for path in _place().glob(f"*/{RECIPE_FILE}")))


def shipped_recipe(name: str) -> Path:
    """The directory of one; raises UsageError, naming what there is, where it does not exist."""
    names = shipped_recipes()
    if name not in names:
        remedy = f"name one of these: {', '.join(names)}" if names else "install bundler again: its recipes are gone"
        raise UsageError(f"there is no recipe {name!r} to start from", where="--from", remedy=remedy)
    return _place() / name


def files_of(directory: Path) -> dict[str, NewFile]:
    """A recipe's files by their paths in it, sorted; not its lock, what tools leave, or what its ``.gitignore`` names."""
    is_left = _left_behind(directory)
    return {
        str(path): NewFile((directory / path).read_bytes(), _is_program(directory / path))
        for path in sorted(_walk(directory, PurePosixPath(), is_left))
    }


def _place() -> Path:
    return next((place for place in _PLACES if place.is_dir()), _PLACES[0])


def _is_program(path: Path) -> bool:
    return bool(path.stat().st_mode & 0o111)


def _walk(directory: Path, below: PurePosixPath, is_left: Callable[[PurePosixPath], bool]) -> Iterator[PurePosixPath]:
    for entry in (directory / below).iterdir():
        path = below / entry.name
        if is_left(path):
            continue
        if entry.is_dir():
            yield from _walk(directory, path, is_left)
        else:
            yield path


def _left_behind(directory: Path) -> Callable[[PurePosixPath], bool]:
    patterns = (*LEFT_BEHIND, *_ignored(directory / ".gitignore"))
    return lambda path: any(fnmatchcase(str(path) if "/" in each else path.name, each) for each in patterns)


def _ignored(gitignore: Path) -> Sequence[str]:
    """Its patterns, for files and directories alike; exceptions (``!``) are none."""
    lines = gitignore.read_text("utf-8").splitlines() if gitignore.is_file() else []
    return [line.strip().strip("/") for line in lines if line.strip() and not line.startswith(("#", "!"))]
