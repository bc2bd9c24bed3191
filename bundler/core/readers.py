"""Streams that check what they hand out, and raise *before* the last byte leaves them.

Whoever reads such a stream to its end without an error has read exactly what the digest names; whoever is fed by one
never gets a complete object that is wrong.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import queue
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Callable, Optional, cast

from bundler.core.digest import CHUNK_BYTES, Digest
from bundler.core.errors import BundleError
from bundler.core.oci import Layer
from bundler.core.zstd import open_decompressor

_REMEDY = "the medium or the copy is damaged: bring the bundle here again"


class Reader(io.RawIOBase):
    """A stream made of chunks: subclasses give the next one, empty at the end."""

    def __init__(self) -> None:
        super().__init__()
        self._pending = memoryview(b"")

    def next_chunk(self) -> bytes:
        """The next piece of the content; empty at the end and from then on."""
        raise NotImplementedError

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill ``buffer`` from the chunks; 0 at the end."""
        if not self._pending:
            self._pending = memoryview(self.next_chunk())
        count = min(len(buffer), len(self._pending))
        buffer[:count] = self._pending[:count]
        self._pending = self._pending[count:]
        return count


#: Hears of every piece that is read: its offset in the file, and the bytes.
Observer = Callable[[int, bytes], None]


class Section(Reader):
    """``size`` bytes of a file from ``offset`` on, with a file handle of its own."""

    def __init__(self, path: Path, offset: int, size: int, observer: Optional[Observer] = None) -> None:
        super().__init__()
        self._path = path
        self._offset = offset
        self._left = size
        self._observer = observer
        try:
            self._file = path.open("rb", buffering=0)
            self._file.seek(offset)
        except OSError as error:
            raise self._unreadable(error) from error

    def next_chunk(self) -> bytes:
        """The next piece of the section; raises BundleError where the medium does not give it."""
        try:
            chunk = self._file.read(min(CHUNK_BYTES, self._left))
        except OSError as error:
            raise self._unreadable(error) from error
        if self._observer:
            self._observer(self._offset, chunk)
        self._offset += len(chunk)
        self._left -= len(chunk)
        return chunk

    def _unreadable(self, error: OSError) -> BundleError:
        return BundleError(
            f"cannot be read: {error.strerror}", where=f"{self._path.name}, byte {self._offset}", remedy=_REMEDY
        )

    def close(self) -> None:
        """Close the file beneath."""
        self._file.close()
        super().close()


class CheckedReader(Reader):
    """Hands on a stream and raises BundleError before its last piece if size or digest are not as stated."""

    def __init__(
        self, stream: BinaryIO, digest: Digest, size: int, where: str, beneath: Optional[BinaryIO] = None
    ) -> None:
        super().__init__()
        self._stream = stream
        self._beneath = beneath
        self._expected = digest
        self._size = size
        self._where = where
        self._hasher = hashlib.sha256()
        self._seen = 0
        self._held = self._take()

    def _take(self) -> bytes:
        chunk = self._stream.read(CHUNK_BYTES)
        self._hasher.update(chunk)
        self._seen += len(chunk)
        if self._seen > self._size:
            raise self._refused(f"longer than the {self._size} bytes that it should have")
        return chunk

    def next_chunk(self) -> bytes:
        """The next piece; the last one only after the check."""
        held = self._held
        if held:
            self._held = self._take()
            if not self._held:
                self._finish()
        elif self._seen == 0:
            self._finish()
        return held

    def _finish(self) -> None:
        if self._seen != self._size:
            raise self._refused(f"{self._seen} bytes instead of {self._size}")
        if Digest(self._hasher.hexdigest()) != self._expected:
            raise self._refused(f"its content has another digest than {self._expected}")

    def _refused(self, what: str) -> BundleError:
        return BundleError(what, where=self._where, remedy=_REMEDY)

    def close(self) -> None:
        """Close the streams beneath."""
        self._stream.close()
        if self._beneath is not None:
            self._beneath.close()
        super().close()


def open_plain(layer: Layer, blob: BinaryIO, where: str) -> BinaryIO:
    """The layer's uncompressed tar out of ``blob``; blob digest, diff_id and both sizes are checked on the way."""
    checked = CheckedReader(blob, layer.blob.digest, layer.blob.size, where)
    plain = decompress(layer.blob.media_type, cast("BinaryIO", checked), where)
    where = f"{where}, uncompressed"
    reader = CheckedReader(plain, layer.diff_id, layer.uncompressed_size, where, cast("BinaryIO", checked))
    return cast("BinaryIO", reader)


def decompress(media_type: str, blob: BinaryIO, where: str) -> BinaryIO:
    """The content of a layer's blob by its media type; raises BundleError for one that is not known."""
    if media_type.endswith("+zstd"):
        return open_decompressor(blob, where=where)
    if media_type.endswith(("+gzip", ".gzip")):
        return cast("BinaryIO", _GzipReader(blob, where))
    if media_type.endswith((".tar", "diff.tar")):
        return blob
    raise BundleError(f"a layer of the unknown media type {media_type}", where=where, remedy="use a newer bundler")


class _GzipReader(Reader):
    """gzip (RFC 1952) with its errors in our family."""

    def __init__(self, blob: BinaryIO, where: str) -> None:
        super().__init__()
        self._stream = gzip.GzipFile(fileobj=blob, mode="rb")
        self._where = where

    def next_chunk(self) -> bytes:
        """The next piece of the uncompressed content."""
        try:
            return self._stream.read(CHUNK_BYTES)
        except (OSError, EOFError, zlib.error) as error:
            raise BundleError(f"not a whole gzip stream: {error}", where=self._where, remedy=_REMEDY) from error


def open_stored(layer: Layer, blob: BinaryIO, where: str) -> BinaryIO:
    """The layer's blob as stored, its diff_id checked beside it, both before the last byte is handed over."""
    checked = cast("BinaryIO", CheckedReader(blob, layer.blob.digest, layer.blob.size, where))
    return cast("BinaryIO", _WitnessedReader(checked, lambda pipe: _drain(open_plain(layer, pipe, where))))


def _drain(stream: BinaryIO) -> None:
    while stream.read(CHUNK_BYTES):
        pass


class _Pipe(Reader):
    """A bounded queue of chunks, read as a stream."""

    def __init__(self) -> None:
        super().__init__()
        self._chunks: queue.Queue[bytes] = queue.Queue(maxsize=4)

    def put(self, chunk: bytes, alive: Callable[[], bool]) -> None:
        """Hand on a chunk (empty: the end) for as long as the other end lives."""
        while alive():
            try:
                self._chunks.put(chunk, timeout=0.1)
            except queue.Full:
                continue
            return

    def next_chunk(self) -> bytes:
        """Wait for the next chunk."""
        chunk = self._chunks.get()
        if not chunk:
            self._chunks.put(b"")
        return chunk


class _WitnessedReader(Reader):
    """Hands on a stream while a witness reads the same bytes beside it; the last piece waits for the witness's word."""

    def __init__(self, stream: BinaryIO, witness: Callable[[BinaryIO], None]) -> None:
        super().__init__()
        self._stream = stream
        self._pipe = _Pipe()
        self._error: Optional[BaseException] = None
        self._thread = threading.Thread(target=self._run, args=(witness,), daemon=True)
        self._thread.start()
        self._held = self._take()

    def _run(self, witness: Callable[[BinaryIO], None]) -> None:
        try:
            witness(cast("BinaryIO", self._pipe))
        except BaseException as error:  # noqa: BLE001 (raised again where the content is read)
            self._error = error

    def _take(self) -> bytes:
        chunk = self._stream.read(CHUNK_BYTES)
        self._pipe.put(chunk, self._thread.is_alive)
        return chunk

    def next_chunk(self) -> bytes:
        """The next piece; the last one only after the witness has agreed."""
        held = self._held
        if held:
            self._held = self._take()
        if not self._held:
            self._thread.join()
        if self._error:
            raise self._error
        return held

    def close(self) -> None:
        """End the witness and close the stream beneath."""
        self._pipe.put(b"", self._thread.is_alive)
        self._thread.join()
        self._stream.close()
        super().close()


class ChunkReader(Reader):
    """A stream out of chunks that somebody makes as they are asked for."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        super().__init__()
        self._chunks = chunks

    def next_chunk(self) -> bytes:
        """The next chunk that is not empty."""
        return next((chunk for chunk in self._chunks if chunk), b"")
