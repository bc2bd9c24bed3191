"""What a command wrote, as entries of a layer: files, directories and links that stay inside, and nothing else."""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

from bundler.builder.engine_build.running import first_member, opened_archive
from bundler.builder.layer import WHITEOUT, Entry
from bundler.core.digest import CHUNK_BYTES, Digest
from bundler.core.docker_api import EngineClient
from bundler.core.errors import BuildError, Problem

_ROOT = PurePosixPath("/")


@dataclass
class Collector:
    """Entries of the outputs of one container; contents go to files below ``spool``, named by their digests."""

    client: EngineClient
    container: str
    name: str
    spool: Path
    entries: dict[str, Entry] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def collect(self, outputs: Iterable[PurePosixPath]) -> tuple[Entry, ...]:
        """All entries of ``outputs`` and of the directories above them; BuildError names all that cannot travel."""
        for output in outputs:
            self._parents(output)
            self._output(output)
        if self.problems:
            raise BuildError(
                f"the outputs of {self.name} hold what no layer of ours takes",
                where=self.problems[0].where,
                remedy="let the command write files, directories and relative links inside the output only",
                problems=self.problems,
            )
        return tuple(self.entries[name] for name in sorted(self.entries))

    def _parents(self, output: PurePosixPath) -> None:
        """A layer decides about the directories above what it holds, so they stand in it as they are in the image."""
        for path in sorted(set(output.parents) - {_ROOT}):
            name = _name(path)
            member = None if name in self.entries else first_member(self.client, self.container, path)
            if member is not None and not member.isdir():
                self._refuse(path, "is not a directory, and the output should stand below it")
            elif member is not None:
                self.entries[name] = _directory(name, member)

    def _output(self, output: PurePosixPath) -> None:
        with opened_archive(self.client, self.container, output) as archive:
            if archive is None:
                raise BuildError(
                    f"{self.name} did not write {output}",
                    where=str(output),
                    remedy="correct `outputs:`, or let the command write it",
                )
            for member in archive:
                self._take(archive, member, output)

    def _take(self, archive: tarfile.TarFile, member: tarfile.TarInfo, output: PurePosixPath) -> None:
        path = output.parent / member.name
        name = _name(path)
        if any(part.startswith(WHITEOUT) for part in path.parts):
            self._refuse(path, "would remove a file of the layers below: the name begins with .wh.")
        elif member.isreg():
            stream = cast("BinaryIO", archive.extractfile(member))
            self.entries[name] = self._file(name, member, stream)
        elif member.isdir():
            self.entries[name] = _directory(name, member)
        elif member.issym():
            self._link(path, member, output)
        elif member.islnk():
            self._hard_link(path, member, output)
        else:
            self._refuse(path, f"is {_kind(member)}")

    def _file(self, name: str, member: tarfile.TarInfo, stream: BinaryIO) -> Entry:
        passing, hasher = self.spool / "passing", hashlib.sha256()
        with passing.open("wb") as target:
            while chunk := stream.read(CHUNK_BYTES):
                hasher.update(chunk)
                target.write(chunk)
        digest = Digest(hasher.hexdigest())
        source = passing.replace(self.spool / digest.hex)
        mode = member.mode & 0o7777
        return Entry(name, "file", mode, member.uid, member.gid, member.size, source, digest)

    def _link(self, path: PurePosixPath, member: tarfile.TarInfo, output: PurePosixPath) -> None:
        target = PurePosixPath(member.linkname)
        end = _normalised(path.parent / target)
        if target.is_absolute():
            self._refuse(path, f"is an absolute link, to {target}")
        elif path == output or end is None or not end.is_relative_to(output):
            self._refuse(path, f"is a link that leaves the output, to {target}")
        else:
            name = _name(path)
            self.entries[name] = Entry(name, "symlink", 0o777, member.uid, member.gid, target=member.linkname)

    def _hard_link(self, path: PurePosixPath, member: tarfile.TarInfo, output: PurePosixPath) -> None:
        first = self.entries.get(_name(output.parent / member.linkname))
        if first is None or first.kind != "file":
            self._refuse(path, f"is a hard link to {member.linkname}, which is not in the output")
        else:
            self.entries[_name(path)] = replace(first, name=_name(path))

    def _refuse(self, path: PurePosixPath, what: str) -> None:
        self.problems.append(Problem(str(path), what))


def _name(path: PurePosixPath) -> str:
    return str(path.relative_to(_ROOT))


def _directory(name: str, member: tarfile.TarInfo) -> Entry:
    return Entry(name, "directory", member.mode & 0o7777, member.uid, member.gid)


def _normalised(path: PurePosixPath) -> PurePosixPath | None:
    """The path without ``..``; None where it leads above the root."""
    parts: list[str] = []
    for part in path.relative_to(_ROOT).parts:
        if part != "..":
            parts.append(part)
        elif parts:
            parts.pop()
        else:
            return None
    return _ROOT.joinpath(*parts)


def _kind(member: tarfile.TarInfo) -> str:
    if member.isfifo():
        return "a FIFO"
    return "a device" if member.isdev() else "neither a file, a directory nor a link"
