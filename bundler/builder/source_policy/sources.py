"""Which files are read: by their names and first lines, in directories without what others brought."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NoReturn

from bundler.core.errors import PreconditionError

Kind = Literal["python", "shell", "dockerfile", "yaml"]

SKIPPED = frozenset(
    [
        ".git",
        ".hg",
        ".mypy_cache",
        ".nox",
        ".pytest_cache",
        ".ruff_cache",
        ".svn",
        ".tox",
        ".venv",
        "__pycache__",
        "dist-packages",
        "node_modules",
        "site-packages",
        "venv",
    ]
)
MOST_BYTES = 4 << 20
_DOCKERFILE = re.compile(
    r"(?:Dockerfile|Containerfile)(?:[.-](?!dockerignore$|md$|txt$)[\w.-]+)?|[\w.-]+\.(?:D|d)ockerfile"
)
_SHEBANG = re.compile(rb"#!\s*\S*/(?:env(?:\s+-\S+)*\s+)?(?P<program>[\w.]+)")
_SUFFIXES: dict[str, Kind] = {
    ".py": "python",
    ".pyw": "python",
    ".sh": "shell",
    ".bash": "shell",
    ".ksh": "shell",
    ".yaml": "yaml",
    ".yml": "yaml",
}


@dataclass(frozen=True)
class Source:
    """A file that is read. ``name`` is what findings call it; ``fault`` says why there is no ``content``.

    ``given`` is True for one that was named by itself, and not found in a directory.
    """

    name: str
    kind: Kind
    content: bytes = b""
    fault: str = ""
    given: bool = False

    @property
    def base(self) -> str:
        """The last part of its name."""
        return self.name.rpartition("/")[2]

    @property
    def text(self) -> str:
        """The content as text, up to the first NUL: a script ends before what is packed behind it."""
        return self.content.partition(b"\0")[0].decode("utf-8-sig", errors="replace").replace("\r\n", "\n")


def kind_of(name: str, head: bytes) -> Kind | None:
    """What a file is, by its name and its first bytes; None for what is not read."""
    base = name.rpartition("/")[2]
    if _DOCKERFILE.fullmatch(base):
        return "dockerfile"
    suffix = _SUFFIXES.get(Path(base).suffix.lower())
    if suffix is not None:
        return suffix
    shebang = _SHEBANG.match(head)
    if shebang is None:
        return None
    program = shebang["program"].decode()
    if program.startswith("python"):
        return "python"
    return "shell" if program in ("sh", "bash", "dash", "ash", "ksh") else None


def find_sources(paths: Iterable[Path]) -> Iterator[Source]:
    """Every file at and below ``paths`` that is read, each once, in the order of its name."""
    seen: set[Path] = set()
    for path in paths:
        for file in _files(path):
            real = file.resolve()
            if real in seen:
                continue
            seen.add(real)
            source = read_source_file(file, given=file == path)
            if source is not None:
                yield source


def _files(path: Path) -> Iterator[Path]:
    if not path.is_dir():
        yield path
        return
    for directory, inner, files in os.walk(path, onerror=_refuse_unlisted):
        inner[:] = sorted(name for name in inner if not is_skipped(Path(directory) / name))
        yield from (Path(directory) / name for name in sorted(files))


def _refuse_unlisted(error: OSError) -> NoReturn:
    raise PreconditionError(
        f"a directory of the sources cannot be listed: {error.strerror}",
        where=str(error.filename),
        remedy="run it as a user who may read all of them, or name other paths",
    ) from error


def is_skipped(directory: Path) -> bool:
    """Whether a directory holds what others brought: installed packages, a version control's own files."""
    return directory.name in SKIPPED or (directory / "pyvenv.cfg").is_file()


def read_source_file(path: Path, *, given: bool = False) -> Source | None:
    """The file if it is one that is read; a file of a known name that cannot be read has a fault."""
    name = path.as_posix()
    try:
        if not path.is_file():
            return None
        with path.open("rb") as stream:
            head = stream.read(256)
            kind = kind_of(name, head)
            if kind is None:
                return None
            content = head + stream.read(MOST_BYTES)
    except OSError as error:
        kind = kind_of(name, b"")
        return Source(name, kind, fault=error.strerror or str(error), given=given) if kind else None
    if len(content) > MOST_BYTES:
        return Source(name, kind, fault=f"larger than {MOST_BYTES >> 20} MiB", given=given)
    return Source(name, kind, content, given=given)
