"""Writing the kit: the directory that a person carries, made under a temporary name and renamed when it is whole.

    with StagedKit(output, manifest.title) as kit:
        with BundleWriter(kit.tar) as writer: ...           # the tar
        report = verify_kit(kit.tar, ...)                   # the self-check, whose reading gives the tar's digest
        kit.write(manifest, report.tar_sum, loader, papers) # everything else, SHA256SUMS last: a kit that can be opened
        results = rehearsal(kit.directory)                  # may be left out
        kit.write(manifest, report.tar_sum, loader, {**papers, "checks.json": results})
        kit.publish()

The tar is read once for all of this. A kill leaves nothing at the final name; the next run clears what it left.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from bundler.builder.kit_readme import render_readme
from bundler.core.atomic import atomic_file, sync_directory, write_atomic
from bundler.core.bundle_manifest import BundleManifest
from bundler.core.checksums import render_sums
from bundler.core.digest import CHUNK_BYTES, Digest
from bundler.core.errors import BuildError, PreconditionError
from bundler.core.layout import HEAD, HEAD_MEMBERS, LOADER, PAPERS, README, SHA256SUMS
from bundler.core.tarball import Member, read_members, require_canonical_name

_DIRECTORY_MODE = 0o755


class StagedKit:
    """The kit ``title`` below ``output`` while it is made; what stood at its name stays until it is published."""

    def __init__(self, output: Path, title: str) -> None:
        self._final = output / title
        self._former = output / f".{title}.old"
        self.directory = output / f".{title}.part"

    @property
    def tar(self) -> Path:
        """Where the bundle's tar belongs."""
        return self.directory / f"{self._final.name}.tar"

    def __enter__(self) -> StagedKit:
        with _translated(self.directory):
            self._recover()
            self._require_replaceable()
            self.directory.mkdir(parents=True)
            self.directory.chmod(_DIRECTORY_MODE)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        shutil.rmtree(self.directory, ignore_errors=True)

    def write(
        self, manifest: BundleManifest, tar_sum: Digest, loader: Path, papers: Mapping[str, Path | bytes]
    ) -> None:
        """Write what stands beside the tar, ``SHA256SUMS`` last; a second time it replaces the first.

        ``papers`` are files below ``papers/`` by name. Raises PreconditionError where the output cannot be written,
        BuildError for a paper that cannot be read or named.
        """
        with _translated(self.directory):
            self._clear()
            for name, content in self._head().items():
                self._write(f"{HEAD}/{name}", content)
            self._write(README, render_readme(manifest, self.tar.name, sorted(papers)).encode())
            self._write(LOADER, loader)
            for name, source in sorted(papers.items()):
                self._write(f"{PAPERS}/{name}", source)
            self._write(SHA256SUMS, render_sums(self._sums(tar_sum)))

    def publish(self) -> Path:
        """Give the kit its name, in the place of an older one of the same name; returns the kit's path."""
        with _translated(self._final):
            for directory in (*self._directories(), self.directory):
                sync_directory(directory)
            if self._final.exists():
                self._final.rename(self._former)
            self.directory.rename(self._final)
            sync_directory(self._final.parent)
            shutil.rmtree(self._former, ignore_errors=True)
        return self._final

    def _recover(self) -> None:
        """Clear what a killed run left; a kit that it had put aside gets its name back."""
        if self._former.exists():
            if self._final.exists():
                shutil.rmtree(self._former)
            else:
                self._former.rename(self._final)
        if self.directory.exists():
            shutil.rmtree(self.directory)

    def _require_replaceable(self) -> None:
        there = self._final.exists() or self._final.is_symlink()
        if there and (self._final.is_symlink() or not (self._final / SHA256SUMS).is_file()):
            raise PreconditionError(
                "something that is not a kit stands at the kit's name",
                where=str(self._final),
                remedy="move it away, or choose another place for the output",
            )

    def _clear(self) -> None:
        for path in self.directory.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path != self.tar:
                path.unlink()

    def _head(self) -> dict[str, bytes]:
        """What decides, byte for byte as in the tar."""
        with self.tar.open("rb") as stream:
            members: dict[str, Member] = {member.name: member for member in read_members(stream, self.tar.name)}
            content: dict[str, bytes] = {}
            for name in HEAD_MEMBERS:
                stream.seek(members[name].offset)
                content[name] = stream.read(members[name].size)
        return content

    def _write(self, name: str, source: Path | bytes) -> None:
        _require_name(name)
        path = self.directory / name
        for parent in reversed(path.relative_to(self.directory).parents[:-1]):
            (self.directory / parent).mkdir(exist_ok=True)
            (self.directory / parent).chmod(_DIRECTORY_MODE)
        if isinstance(source, bytes):
            write_atomic(path, source)
            return
        with _readable(source) as stream, atomic_file(path) as target:
            shutil.copyfileobj(stream, target, CHUNK_BYTES)

    def _sums(self, tar_sum: Digest) -> dict[str, Digest]:
        sums = {self.tar.name: tar_sum}
        for path in self.directory.rglob("*"):
            if path.is_file() and path != self.tar:
                with path.open("rb") as stream:
                    sums[path.relative_to(self.directory).as_posix()] = Digest.of_stream(stream)
        return dict(sorted(sums.items()))

    def _directories(self) -> list[Path]:
        return [path for path in self.directory.rglob("*") if path.is_dir()]


def _require_name(name: str) -> None:
    try:
        require_canonical_name(name)
    except ValueError as error:
        raise BuildError(f"a paper cannot be named so: {error}", where=name, remedy="rename the file") from error


@contextmanager
def _readable(path: Path) -> Iterator[BinaryIO]:
    try:
        stream = path.open("rb")
    except OSError as error:
        raise BuildError(
            f"the file cannot be read: {error.strerror}", where=str(path), remedy="make it readable"
        ) from error
    with stream:
        yield stream


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise PreconditionError(
            f"the kit cannot be written: {error.strerror}",
            where=str(path),
            remedy="free some space there, or choose another place for the output",
        ) from error
