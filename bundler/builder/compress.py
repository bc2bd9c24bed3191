"""One pass from a plain layer to its blob: diff_id, zstd, blob digest and both sizes together, on all cores.

The compressed bytes depend on the plain ones, the level and the release of zstd, and on nothing else: not on the sizes
of the pieces, nor on the number of threads (which is why it is never 0: zstd then takes another path). The digests are
computed by threads of their own while zstd's workers compress; memory is bounded, whatever passes through.
"""

from __future__ import annotations

import hashlib
import os
import queue
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import BinaryIO, Protocol

import zstandard

from bundler.core.digest import CHUNK_BYTES, Digest
from bundler.core.oci import LAYER_ZSTD, Descriptor, Layer
from bundler.core.progress import SilentTask, Task

DEFAULT_LEVEL = 3
LEVELS = range(1, 20)
ZSTD_RELEASE = ".".join(str(part) for part in zstandard.ZSTD_VERSION)
#: Bytes that one worker takes at a time. zstd's own choice is four windows; a smaller one costs 0.4 % of size on an
#: operating system's files, nothing on weights, and lets eight workers stay below 100 MiB together.
_JOB_SIZE = 2 << 20
#: SHA-256 runs at 1.7 GB/s a core, and no layer passes faster: more workers would only take memory.
_MAX_THREADS = 8
#: Up to which level how many workers keep a build's process below 256 MiB: the tables in which a worker looks for
#: repetitions grow with the level, to 80 MiB and more (measured, docs/adr/0001).
_THREADS_UP_TO = {8: 8, 11: 4, 12: 3, 18: 2, 19: 1}
_QUEUED_CHUNKS = 4


class Sink(Protocol):
    """Where a blob goes."""

    def write(self, data: bytes, /) -> object:
        """Take all of ``data``."""


@dataclass(frozen=True)
class Compression:
    """How layers are compressed; ``threads`` is at least 1, has no influence on the bytes, and is fewer at high levels."""

    level: int = DEFAULT_LEVEL
    threads: int = min(len(os.sched_getaffinity(0)), _MAX_THREADS)

    def __post_init__(self) -> None:
        if self.level not in LEVELS or self.threads < 1:
            raise ValueError(f"no such compression: level {self.level}, {self.threads} threads")

    @property
    def workers(self) -> int:
        """How many threads compress: as many as memory allows at this level."""
        return min(self.threads, next(most for level, most in _THREADS_UP_TO.items() if self.level <= level))

    @property
    def label(self) -> str:
        """What the bytes depend on beside the content: for names in caches."""
        return f"zstd-{ZSTD_RELEASE}-{self.level}"


DEFAULT_COMPRESSION = Compression()


@dataclass(frozen=True)
class Compressed:
    """A layer that has passed: digest and size of the plain tar, and the descriptor of the blob."""

    diff_id: Digest
    uncompressed_size: int
    blob: Descriptor

    def layer(self, kind: str, model: str | None = None) -> Layer:
        """The same as a layer of an image."""
        return Layer(self.diff_id, self.uncompressed_size, self.blob, kind, model)


def compress_stream(
    source: BinaryIO, sink: Sink, compression: Compression = DEFAULT_COMPRESSION, task: Task | None = None
) -> Compressed:
    """Compress what ``source`` still holds into ``sink``."""
    return compress_chunks(iter(lambda: source.read(CHUNK_BYTES), b""), sink, compression, task)


def compress_chunks(
    chunks: Iterable[bytes], sink: Sink, compression: Compression = DEFAULT_COMPRESSION, task: Task | None = None
) -> Compressed:
    """Compress the concatenation of ``chunks`` into ``sink``; ``task`` advances by plain bytes."""
    watched = task or SilentTask()
    with _Hasher() as plain, _Hasher() as stored:
        for packed in _compressed(_observed(chunks, plain, watched), compression):
            stored.update(packed)
            sink.write(packed)
        diff_id, uncompressed_size = plain.result()
        digest, size = stored.result()
    return Compressed(diff_id, uncompressed_size, Descriptor(LAYER_ZSTD, digest, size))


def _observed(chunks: Iterable[bytes], hasher: _Hasher, task: Task) -> Iterator[bytes]:
    for chunk in chunks:
        hasher.update(chunk)
        yield chunk
        task.advance(len(chunk))


def _compressed(chunks: Iterable[bytes], compression: Compression) -> Iterator[bytes]:
    # The size of the content is left out of the frame: zstd tunes itself by it, and a stream from an engine has none.
    parameters = zstandard.ZstdCompressionParameters.from_level(
        compression.level,
        threads=compression.workers,
        job_size=_JOB_SIZE,
        write_content_size=False,
        write_checksum=True,
        write_dict_id=False,
    )
    stream = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    for chunk in chunks:
        if packed := stream.compress(chunk):
            yield packed
    yield stream.flush()


class _Hasher:
    """SHA-256 and size of the chunks that it is given, computed in a thread of its own; a few chunks may wait."""

    def __init__(self) -> None:
        self._chunks: queue.Queue[bytes | None] = queue.Queue(_QUEUED_CHUNKS)
        self._hasher = hashlib.sha256()
        self._size = 0
        self._thread = threading.Thread(target=self._run, name="hasher", daemon=True)

    def _run(self) -> None:
        while (chunk := self._chunks.get()) is not None:
            self._hasher.update(chunk)

    def update(self, chunk: bytes) -> None:
        """Take a chunk, which must not change any more."""
        self._size += len(chunk)
        self._chunks.put(chunk)

    def result(self) -> tuple[Digest, int]:
        """Digest and size of all chunks."""
        self._end()
        return Digest(self._hasher.hexdigest()), self._size

    def _end(self) -> None:
        if self._thread.is_alive():
            self._chunks.put(None)
            self._thread.join()

    def __enter__(self) -> _Hasher:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()
