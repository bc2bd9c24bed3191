"""A new recipe's directory: what it may be called, and its files, all of them or none."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bundler.builder.yaml_source import read_yaml
from bundler.core.errors import PreconditionError, UsageError

_NAME = re.compile(r"[a-z0-9]+(?:[._-][a-z0-9]+)*")


@dataclass(frozen=True)
class NewFile:
    """A file to be written: its bytes, and whether it is a program."""

    content: bytes
    executable: bool = False


def require_name(name: str) -> None:
    """Raise UsageError for a name that images cannot have, or that YAML takes for something else than text."""
    fault = ""
    if not _NAME.fullmatch(name):
        fault = "cannot be the name of a recipe"
    elif not isinstance(read_yaml(name.encode(), "NAME").document, str):
        fault = "cannot be the name of a recipe: YAML takes it for a number or a truth value"
    if fault:
        remedy = "use lower-case letters and digits, joined by '.', '_' or '-', such as my-service"
        raise UsageError(f"{name!r} {fault}", where="NAME", remedy=remedy)


def write_new(target: Path, files: Mapping[str, NewFile]) -> tuple[Path, ...]:
    """Write ``files``, by their paths in ``target``, and return them in this order; after a failure none is left.

    Raises PreconditionError where one stands there already or ``target`` cannot be written. Nothing is overwritten.
    """
    there = [file for file in files if (target / file).exists()]
    if there:
        remedy = "name an empty directory, or remove these files"
        raise PreconditionError(f"{', '.join(there)} would be overwritten", where=str(target), remedy=remedy)
    try:
        return _write(target, files)
    except OSError as error:
        remedy = "name a directory that you may write to"
        raise PreconditionError(f"cannot write: {error.strerror}", where=str(target), remedy=remedy) from error


def _write(target: Path, files: Mapping[str, NewFile]) -> tuple[Path, ...]:
    directories: list[Path] = []
    written: list[Path] = []
    try:
        for name, file in files.items():
            for directory in _missing(target / Path(name).parent):
                directory.mkdir()
                directories.append(directory)
            _write_file(target / name, file, written)
    except BaseException:
        for path in written:
            path.unlink(missing_ok=True)
        for directory in reversed(directories):
            directory.rmdir()
        raise
    return tuple(written)


def _missing(directory: Path) -> list[Path]:
    """``directory`` and those above it that do not exist, the outermost first."""
    return [each for each in (*reversed(directory.parents), directory) if not each.exists()]


def _write_file(path: Path, file: NewFile, written: list[Path]) -> None:
    mode = 0o777 if file.executable else 0o666  # the umask takes from it what it takes
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as stream:
        written.append(path)
        stream.write(file.content)
