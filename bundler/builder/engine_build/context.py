"""Build contexts: one list of files for both builders, ``.dockerignore`` honoured, extra directories joined in.

BuildKit reads a directory, because it applies no ignore file to a tar and would show the generated Dockerfile to
``COPY . /``; the classic builder reads a tar. Rules: Dockerfile reference, ".dockerignore file".
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import stat
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from docker.utils.build import PatternMatcher

from bundler.core.errors import BuildError

IGNORE_FILE = ".dockerignore"


def read_ignore(context: Path, dockerfile: Path) -> tuple[str, ...]:
    """Patterns of ``DOCKERFILE.dockerignore`` where it exists, else of the context's ``.dockerignore``."""
    for path in (dockerfile.with_name(f"{dockerfile.name}{IGNORE_FILE}"), context / IGNORE_FILE):
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            lines = (line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines())
            return tuple(line for line in lines if line and not line.startswith("#"))
    return ()


def context_files(context: Path, ignore: tuple[str, ...]) -> tuple[str, ...]:
    """What of the directory belongs to the context, sorted: relative paths of files, links and directories.

    The ignore file itself does not, so that both builders see the same.
    """
    try:
        found = set(PatternMatcher(list(ignore)).walk(str(context)))
    except OSError as error:
        raise _unreadable(context, error) from error
    for path in list(found):
        found.update(str(parent) for parent in Path(path).parents if str(parent) != ".")
    return tuple(sorted(found - {IGNORE_FILE}))


def extra_files(extra: Mapping[str, Path]) -> dict[str, Path]:
    """The files below each extra directory, by the path that they get in the context."""
    found: dict[str, Path] = {}
    for name, directory in extra.items():
        found[name] = directory
        found.update((f"{name}/{path.relative_to(directory).as_posix()}", path) for path in directory.rglob("*"))
    return dict(sorted(found.items()))


def require_free(context: Path, files: tuple[str, ...], extra: Mapping[str, Path]) -> None:
    """Raise BuildError where an extra directory would hide something of the context."""
    for name, directory in extra.items():
        if name in files:
            raise BuildError(
                f"the context has a {name!r} of its own, and {directory} was given to stand there",
                where=str(context / name),
                remedy=f"rename the one in the context, add {name!r} to its {IGNORE_FILE}, or leave the option away",
            )


def stage_context(target: Path, context: Path, files: tuple[str, ...], extra: Mapping[str, Path]) -> None:
    """Lay the context out in the new directory ``target``, by hard links where the file system has them."""
    target.mkdir()
    directories: list[tuple[Path, Path]] = []
    for name, source in [*((each, context / each) for each in files), *extra_files(extra).items()]:
        try:
            if stat.S_ISDIR(source.lstat().st_mode) or (source.is_dir() and name in extra):
                (target / name).mkdir(exist_ok=True)
                directories.append((source, target / name))
            else:
                _link(source, target / name)
        except OSError as error:
            raise _unreadable(source, error) from error
    for source, made in [*reversed(directories), (context, target)]:
        shutil.copystat(source, made)


def _link(source: Path, target: Path) -> None:
    if stat.S_ISSOCK(source.lstat().st_mode):
        return  # builders leave sockets out
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:  # another file system, or files of somebody else
        shutil.copy2(source, target, follow_symlinks=False)


def write_context(
    stream: BinaryIO, context: Path, files: tuple[str, ...], extra: Mapping[str, Path], texts: Mapping[str, str]
) -> None:
    """Write the context as a tar, owned by root as builders expect; ``texts`` are generated files, which win."""
    with tarfile.open(mode="w|", fileobj=stream, format=tarfile.PAX_FORMAT) as archive:
        for name, source in [*((each, context / each) for each in files), *extra_files(extra).items()]:
            if name not in texts:
                try:
                    _add(archive, name, source, follow=name in extra)
                except OSError as error:
                    raise _unreadable(source, error) from error
        for name, text in texts.items():
            _add_text(archive, name, text)


def _add(archive: tarfile.TarFile, name: str, source: Path, *, follow: bool) -> None:
    entry = archive.gettarinfo(str(source.resolve() if follow else source), arcname=name)
    if entry is None:
        return  # a socket
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mtime = max(0, int(entry.mtime))
    if entry.isreg():
        with source.open("rb") as content:
            archive.addfile(entry, content)
    else:
        archive.addfile(entry)


def _add_text(archive: tarfile.TarFile, name: str, text: str) -> None:
    content = text.encode()
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    entry.mode = 0o644
    archive.addfile(entry, io.BytesIO(content))


def _unreadable(path: Path, error: OSError) -> BuildError:
    return BuildError(
        f"the build context cannot be read: {error.strerror or error}",
        where=str(error.filename or path),
        remedy=f"make it readable, or leave it out with a line in {IGNORE_FILE}",
    )
