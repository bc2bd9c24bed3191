"""Reading zstd streams (RFC 8878) in constant memory, by whichever decompressor this host has.

Three ways, tried in this order: the package ``zstandard``; ``compression.zstd`` of Python 3.14; the program ``zstd``.
The loader carries the package, but a host that forbids mapping its extension (a noexec cache) must still install.

Decompressors differ in what they let pass: one ends quietly on a cut frame, another ignores what follows the last one.
So the frames themselves are walked here, the same for all three: each must be whole, ask for at most 128 MiB of
memory, need no dictionary, and be followed by another frame or the end. The decompressor judges the content.
"""

from __future__ import annotations

import importlib
import io
import shutil
import subprocess
import threading
from collections.abc import Generator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, BinaryIO, Callable, Optional, cast

from bundler.core.errors import BundleError, BundlerError, PreconditionError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

MAX_WINDOW_BYTES = 128 << 20
_CHUNK_BYTES = 1 << 20
_FRAME_MAGIC = 0xFD2FB528
_SKIPPABLE_MAGIC = 0x184D2A50  # and the 15 after it
_MAX_BLOCK_BYTES = 128 << 10
_DICTIONARY_ID_BYTES = (0, 1, 2, 4)


def open_decompressor(
    stream: BinaryIO, *, where: str = "a zstd stream", ways: Optional[Sequence[Way]] = None
) -> BinaryIO:
    """The content of the zstd frames in ``stream``, as a stream that is read once, forward.

    Memory stays flat whatever the frames unpack to. The end is only reached when the whole input was well formed:
    reading raises BundleError, with ``where`` in it, for a malformed or cut frame, for bytes after the last frame
    and for a window above 128 MiB. Raises PreconditionError if this host has no decompressor.
    Closing gives back the decompressor's resources; ``stream`` stays open.
    """
    source = _CheckedSource(stream, where)
    for way in WAYS if ways is None else ways:
        content = way(source)
        if content is not None:
            return cast("BinaryIO", io.BufferedReader(_Content(content, source), _CHUNK_BYTES))
    raise PreconditionError(
        "Nothing on this host can read zstd: the package's extension cannot be loaded, and there is no `zstd` program.",
        where=where,
        remedy="set TMPDIR to a directory where programs may run (not mounted noexec), or install the program zstd",
    )


class FrameWalker:
    """Follows the frame structure of a zstd stream that passes by in pieces of any size.

    ``feed`` and ``finish`` raise ValueError with a sentence; blocks are measured, not unpacked.
    """

    def __init__(self) -> None:
        self._parser = self._frames()
        self._wanted = next(self._parser)
        self._skip = 0
        self._held = bytearray()
        self._between_frames = True
        self._frame_count = 0

    def feed(self, data: bytes) -> None:
        """Look at the next bytes of the stream."""
        position = 0
        while position < len(data):
            if self._skip:
                step = min(self._skip, len(data) - position)
                self._skip -= step
            else:
                step = min(self._wanted - len(self._held), len(data) - position)
                self._held += data[position : position + step]
            position += step
            self._advance()

    def finish(self) -> None:
        """The stream ends here; raises ValueError unless that is after a whole frame."""
        if not self._between_frames or self._held or self._skip:
            raise ValueError("the zstd stream ends in the middle of a frame")
        if not self._frame_count:
            raise ValueError("there is no zstd frame")

    def _advance(self) -> None:
        while not self._skip and len(self._held) == self._wanted:
            field = bytes(self._held)
            self._held.clear()
            self._wanted = self._parser.send(field)

    def _frames(self) -> Generator[int, bytes, None]:
        """Yields how many bytes it wants next and is sent them; sets ``_skip`` for bytes that it need not see."""
        while True:
            self._between_frames = True
            magic = _number((yield 4))
            self._between_frames = False
            if magic == _FRAME_MAGIC:
                yield from self._frame()
                self._frame_count += 1
            elif magic & ~0xF == _SKIPPABLE_MAGIC:
                self._skip = _number((yield 4))
            else:
                raise ValueError("these bytes are not a zstd frame")

    def _frame(self) -> Generator[int, bytes, None]:
        """Frame_Header, blocks and checksum (RFC 8878, 3.1.1)."""
        descriptor = (yield 1)[0]
        if descriptor & 0x08:
            raise ValueError("a reserved bit of a zstd frame header is set")
        window = yield from self._window(descriptor)
        if window > MAX_WINDOW_BYTES:
            raise ValueError(f"a zstd frame asks for a window of {window} bytes; {MAX_WINDOW_BYTES} are allowed")
        last = False
        while not last:
            header = _number((yield 3))
            last = bool(header & 1)
            kind, size = header >> 1 & 3, header >> 3
            if kind == 3 or size > min(window, _MAX_BLOCK_BYTES):
                raise ValueError("a zstd block has an impossible header")
            self._skip = 1 if kind == 1 else size
        if descriptor & 0x04:
            yield 4

    def _window(self, descriptor: int) -> Generator[int, bytes, int]:
        """The memory in bytes that the frame asks for; 3.1.1.1.2 to 3.1.1.1.4."""
        single_segment = bool(descriptor & 0x20)
        window = 0 if single_segment else _window_size((yield 1)[0])
        dictionary_bytes = _DICTIONARY_ID_BYTES[descriptor & 3]
        if dictionary_bytes and _number((yield dictionary_bytes)):
            raise ValueError("a zstd frame needs a dictionary")
        size_bytes = (int(single_segment), 2, 4, 8)[descriptor >> 6]
        content_size = _number((yield size_bytes)) if size_bytes else 0
        if size_bytes == 2:
            content_size += 256
        return content_size if single_segment else window


def _window_size(byte: int) -> int:
    base = 1 << (10 + (byte >> 3))
    return base + base // 8 * (byte & 7)


def _number(field: bytes) -> int:
    return int.from_bytes(field, "little")


class _CheckedSource(io.RawIOBase):
    """The compressed bytes on their way to a decompressor, which sees none that the walker refuses."""

    def __init__(self, stream: BinaryIO, where: str) -> None:
        super().__init__()
        self._stream = stream
        self._walker = FrameWalker()
        self._where = where

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(_CHUNK_BYTES if size is None or size < 0 else size)
        try:
            if data:
                self._walker.feed(data)
            else:
                self._walker.finish()
        except ValueError as error:
            raise self.damaged(str(error)) from error
        return data

    def damaged(self, what: str) -> BundleError:
        return BundleError(
            f"The compressed data is damaged: {what}.",
            where=self._where,
            remedy="copy it again from where it came from, and run `bundler verify` on the copy",
        )


class _Content(io.RawIOBase):
    """What a decompressor gives, with its errors made ours, and with an end only where the input has one."""

    def __init__(self, content: BinaryIO, source: _CheckedSource) -> None:
        super().__init__()
        self._content = content
        self._source = source

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        try:
            count = int(self._content.readinto(buffer))  # type: ignore[attr-defined]  # typeshed's BinaryIO lacks it
        except (BundlerError, OSError):
            raise
        except Exception as error:  # zstandard.ZstdError and compression.zstd.ZstdError derive from Exception alone
            if type(error).__name__ != "ZstdError":
                raise
            raise self._source.damaged(str(error)) from error
        if not count and memoryview(buffer).nbytes and self._source.read(1):
            raise self._source.damaged("the decompressor ended before the stream did")
        return count

    def close(self) -> None:
        if not self.closed:
            self._content.close()
        super().close()


Way = Callable[[_CheckedSource], Optional[BinaryIO]]


def by_package(source: _CheckedSource) -> Optional[BinaryIO]:
    """The package ``zstandard``, or None where its extension cannot be loaded."""
    try:
        zstandard = importlib.import_module("zstandard")
    except ImportError:
        return None
    decompressor = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW_BYTES)
    reader = decompressor.stream_reader(source, read_size=_CHUNK_BYTES, read_across_frames=True, closefd=False)
    return cast("BinaryIO", reader)


def by_standard_library(source: _CheckedSource) -> Optional[BinaryIO]:
    """``compression.zstd``, or None before Python 3.14."""
    try:
        zstd = importlib.import_module("compression.zstd")
    except ImportError:
        return None
    options = {zstd.DecompressionParameter.window_log_max: MAX_WINDOW_BYTES.bit_length() - 1}
    return cast("BinaryIO", zstd.ZstdFile(source, "rb", options=options))


def by_program(source: _CheckedSource) -> Optional[BinaryIO]:
    """The program ``zstd``, or None where there is none."""
    program = shutil.which("zstd")
    return cast("BinaryIO", _ProgramReader(program, source)) if program else None


WAYS: tuple[Way, ...] = (by_package, by_standard_library, by_program)


class _ProgramReader(io.RawIOBase):
    """The output of ``zstd -d``, fed by a thread; the end is reached only after the program said that all is well."""

    def __init__(self, program: str, source: _CheckedSource) -> None:
        super().__init__()
        self._source = source
        self._failure: Optional[BaseException] = None
        self._process = subprocess.Popen(
            [program, "--decompress", "--stdout", "--quiet", "--no-sparse", f"--memory={MAX_WINDOW_BYTES}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self._feeder = threading.Thread(target=self._feed, name="zstd-feeder", daemon=True)
        self._feeder.start()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        assert self._process.stdout is not None  # noqa: S101 (opened as a pipe)
        count = cast("io.BufferedReader", self._process.stdout).readinto1(buffer)
        if not count and memoryview(buffer).nbytes:
            self._end()
        return count

    def close(self) -> None:
        if not self.closed:
            if self._process.poll() is None:
                self._process.kill()
            self._feeder.join()
            self._process.wait()
            for pipe in (self._process.stdout, self._process.stderr):
                if pipe is not None:
                    pipe.close()
        super().close()

    def _feed(self) -> None:
        stdin = self._process.stdin
        assert stdin is not None  # noqa: S101 (opened as a pipe)
        try:
            while data := self._source.read(_CHUNK_BYTES):
                stdin.write(data)
        except BrokenPipeError:
            pass  # the program gave up: its exit status tells
        except BaseException as error:  # noqa: BLE001 (raised again where the content is read)
            self._failure = error
        finally:
            with suppress(OSError):
                stdin.close()

    def _end(self) -> None:
        self._feeder.join()
        if self._failure is not None:
            raise self._failure
        assert self._process.stderr is not None  # noqa: S101 (opened as a pipe)
        said = self._process.stderr.read().decode(errors="replace")
        if self._process.wait() != 0:
            raise self._source.damaged(" ".join(said.split()) or f"zstd ended with {self._process.returncode}")
