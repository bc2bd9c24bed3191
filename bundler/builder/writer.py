"""Writing the bundle's tar in one pass: blobs go straight into it while they are made, metadata come last.

A blob's name and size are known only after it, so its header is patched by seeking back; the output must be seekable.
The file has a temporary name until ``finish``; leaving the block by an error leaves nothing behind.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Protocol, TypeVar

from bundler.builder.compress import Sink
from bundler.core.atomic import sync_directory
from bundler.core.bundle_manifest import BundleManifest, PayloadFile, render_bundle_manifest
from bundler.core.checksums import render_sums
from bundler.core.digest import CHUNK_BYTES, Digest
from bundler.core.errors import BuildError, PreconditionError
from bundler.core.layout import (
    BUNDLE_JSON,
    INDEX_JSON,
    MANIFEST_JSON,
    MEMBERS,
    METADATA,
    OCI_LAYOUT,
    blob_name,
    member_order,
    payload_name,
    render_docker_manifest,
    render_index,
    render_oci_layout,
)
from bundler.core.oci import Descriptor, Image
from bundler.core.progress import SilentTask, Task
from bundler.core.tarball import BLOCK, END, padding, render_header


class Stored(Protocol):
    """Whatever a producer of a blob gives back, as long as it has the blob's descriptor."""

    @property
    def blob(self) -> Descriptor:
        """Descriptor of the bytes that were written."""


Produced = TypeVar("Produced", bound=Stored)


class BundleWriter:
    """The tar at ``path`` while it is written. Members are added in the canonical order of ``core.layout``.

    Raises PreconditionError where the output cannot be written, such as on a full disk.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
        self._sums: dict[str, Digest] = {}
        self._output = _Output(self._temporary)

    def __enter__(self) -> BundleWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._output.abandon()
        self._temporary.unlink(missing_ok=True)

    def holds(self, digest: Digest) -> bool:
        """Whether the blob stands in the tar already."""
        return blob_name(digest) in self._sums

    def add_blob_stream(self, produce: Callable[[Sink], Produced]) -> Produced:
        """A blob that ``produce`` writes to the sink that it is given; one that stands there already is dropped."""
        start = self._begin()
        produced = produce(self._output)
        size = self._output.position - start - BLOCK
        if size != produced.blob.size:
            raise AssertionError(f"{size} bytes were written for a blob of {produced.blob.size}")
        if self.holds(produced.blob.digest):
            self._output.rewind(start)
        else:
            self._end(start, blob_name(produced.blob.digest), produced.blob.digest)
        return produced

    def add_blob(self, content: bytes) -> Digest:
        """A small blob: a config or a manifest."""
        digest = Digest.of(content)
        if not self.holds(digest):
            self._add(blob_name(digest), digest, content)
        return digest

    def add_blob_file(self, path: Path, descriptor: Descriptor, task: Task | None = None) -> None:
        """A blob out of a file; raises BuildError where the file is not what the descriptor says."""
        if self.holds(descriptor.digest):
            return
        start = self._begin()
        digest = self._copy(path, task or SilentTask())
        if digest != descriptor.digest or self._output.position - start - BLOCK != descriptor.size:
            raise BuildError(
                f"the file is damaged: it is not {descriptor.digest}",
                where=str(path),
                remedy="remove it and run the same command again",
            )
        self._end(start, blob_name(digest), digest)

    def add_payload(self, path: str, source: Path, task: Task | None = None) -> PayloadFile:
        """A file that travels as it is, under ``files/<path>``; raises BuildError where it cannot be read."""
        start = self._begin()
        digest = self._copy(source, task or SilentTask())
        return PayloadFile(path, self._end(start, payload_name(path), digest), digest)

    def finish(self, manifest: BundleManifest, images: Sequence[Image]) -> None:
        """Write the metadata and the end, flush, and give the tar its name."""
        order = member_order(manifest)
        if (*self._sums, *METADATA, MEMBERS) != order:
            raise AssertionError(f"members stand in another order than {order}: {tuple(self._sums)}")
        metadata = {
            BUNDLE_JSON: render_bundle_manifest(manifest),
            INDEX_JSON: render_index(images),
            OCI_LAYOUT: render_oci_layout(),
            MANIFEST_JSON: render_docker_manifest(images),
        }
        for name in METADATA:
            self._add(name, Digest.of(metadata[name]), metadata[name])
        listed = render_sums(self._sums)
        self._add(MEMBERS, Digest.of(listed), listed)
        self._output.write(END)
        self._output.finish()
        self._temporary.replace(self._path)
        sync_directory(self._path.parent)

    def _add(self, name: str, digest: Digest, content: bytes) -> None:
        start = self._begin()
        self._output.write(content)
        self._end(start, name, digest)

    def _copy(self, source: Path, task: Task) -> Digest:
        hasher = hashlib.sha256()
        for chunk in _chunks_of(source):
            hasher.update(chunk)
            self._output.write(chunk)
            task.advance(len(chunk))
        return Digest(hasher.hexdigest())

    def _begin(self) -> int:
        """Leave room for a header; returns where it will stand."""
        start = self._output.position
        self._output.write(bytes(BLOCK))
        return start

    def _end(self, start: int, name: str, digest: Digest) -> int:
        """Close the member that began at ``start``; returns its size."""
        if name in self._sums:
            raise AssertionError(f"{name} was added twice")
        size = self._output.position - start - BLOCK
        self._output.write(bytes(padding(size)))
        self._output.patch(start, render_header(name, size))
        self._sums[name] = digest
        return size


class _Output:
    """The file beneath, with its errors in our family: on a full disk a person is told so."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.position = 0
        with self._translated():
            self._file = path.open("wb")

    def write(self, data: bytes) -> None:
        with self._translated():
            self._file.write(data)
        self.position += len(data)

    def patch(self, offset: int, data: bytes) -> None:
        with self._translated():
            self._file.seek(offset)
            self._file.write(data)
            self._file.seek(self.position)

    def rewind(self, offset: int) -> None:
        with self._translated():
            self._file.seek(offset)
            self._file.truncate()
        self.position = offset

    def finish(self) -> None:
        with self._translated():
            self._file.flush()
            os.fchmod(self._file.fileno(), 0o644)
            os.fsync(self._file.fileno())
            self._file.close()

    def abandon(self) -> None:
        with suppress(OSError):  # what could not be written is thrown away anyway
            self._file.close()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise PreconditionError(
                f"the bundle cannot be written: {error.strerror}",
                where=str(self._path.parent),
                remedy="free some space there, or choose another place for the output",
            ) from error


def _chunks_of(source: Path) -> Iterator[bytes]:
    try:
        with source.open("rb", buffering=0) as stream:
            while chunk := stream.read(CHUNK_BYTES):
                yield chunk
    except OSError as error:
        raise BuildError(
            f"the file cannot be read: {error.strerror}", where=str(source), remedy="make it readable"
        ) from error
