"""Compressed layers of engines, kept between builds: an operating system that did not change is not packed again.

A blob is known by its diff_id, the release of zstd and the level, which is all that its bytes depend on.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from bundler.builder.compress import Compressed, Compression, compress_stream
from bundler.builder.engine_build.workplace import temporary_folder
from bundler.core.atomic import write_atomic
from bundler.core.digest import Digest
from bundler.core.errors import BuildError, PreconditionError
from bundler.core.oci import LAYER_ZSTD, Descriptor
from bundler.core.progress import Task


@dataclass(frozen=True)
class StagedBlob:
    """A blob in a file; the bytes are compared with its digest when they are copied."""

    path: Path
    compressed: Compressed

    @property
    def diff_id(self) -> Digest:
        """Digest of the plain layer."""
        return self.compressed.diff_id


class StagedBlobs:
    """The blobs below one directory."""

    def __init__(self, directory: Path, compression: Compression) -> None:
        self._directory = directory
        self._compression = compression

    def find(self, diff_id: Digest) -> StagedBlob | None:
        """The blob of a layer that was packed before, or None."""
        path = self._path(diff_id)
        with suppress(OSError, ValueError, KeyError, TypeError):
            stated = json.loads(self._facts(path).read_bytes())
            blob = Descriptor(LAYER_ZSTD, Digest.parse(stated["digest"]), int(stated["size"]))
            if path.stat().st_size == blob.size:
                os.utime(path)  # `bundler cache prune` goes by the last use
                return StagedBlob(path, Compressed(diff_id, int(stated["uncompressed_size"]), blob))
        return None

    def pack(self, source: BinaryIO, diff_id: Digest | None, task: Task | None = None) -> StagedBlob:
        """Pack a plain layer. Raises BuildError where it is not the ``diff_id`` that was promised.

        With ``diff_id`` None it is known only afterwards (a layer that bundler rewrote).
        """
        try:
            return self._pack(source, diff_id, task)
        except OSError as error:
            raise PreconditionError(
                f"a layer cannot be kept: {error.strerror}",
                where=str(self._directory),
                remedy="free some space there, or choose another cache",
            ) from error

    def _pack(self, source: BinaryIO, diff_id: Digest | None, task: Task | None) -> StagedBlob:
        with temporary_folder(self._directory, "packing-") as folder, (folder / "layer").open("wb") as sink:
            compressed = compress_stream(source, sink, self._compression, task)
            if diff_id is not None and compressed.diff_id != diff_id:
                raise BuildError(
                    f"the engine exported a layer with diff_id {compressed.diff_id}, its image says {diff_id}",
                    where=str(diff_id),
                    remedy="remove the image from the engine and build again; the engine's store may be damaged",
                )
            sink.flush()
            os.fsync(sink.fileno())
            path = self._path(compressed.diff_id)
            Path(sink.name).replace(path)
        facts = {
            "digest": str(compressed.blob.digest),
            "size": compressed.blob.size,
            "uncompressed_size": compressed.uncompressed_size,
        }
        write_atomic(self._facts(path), json.dumps(facts, sort_keys=True).encode())
        return StagedBlob(path, compressed)

    def discard(self, blob: StagedBlob) -> None:
        """Remove a blob that turned out to be damaged, so that the next build packs it again."""
        self._facts(blob.path).unlink(missing_ok=True)
        blob.path.unlink(missing_ok=True)

    def _path(self, diff_id: Digest) -> Path:
        return self._directory / f"{diff_id.hex}.{self._compression.label}"

    def _facts(self, path: Path) -> Path:
        return path.with_name(f"{path.name}.json")


@dataclass(frozen=True)
class EngineLayers:
    """The store that an engine's export fills (``engine_build.export.LayerStore``)."""

    blobs: StagedBlobs

    def find(self, diff_id: Digest) -> StagedBlob | None:
        """The layer, if it was packed before."""
        return self.blobs.find(diff_id)

    def store(self, stream: BinaryIO) -> StagedBlob:
        """Pack a plain layer, read to its end; its diff_id is compared by whoever knows what it should be."""
        return self.blobs.pack(stream, None)
