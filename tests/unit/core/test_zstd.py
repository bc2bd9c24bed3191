"""Reading zstd: each decompressor gives the content, and refuses what is cut, damaged, too hungry or followed by more."""

from __future__ import annotations

import io
import os
import random
import resource
import subprocess
import sys
import threading
from collections.abc import Callable

import pytest
import zstandard

from bundler.core import zstd
from bundler.core.errors import BundleError, PreconditionError
from bundler.core.zstd import FrameWalker, open_decompressor

ENDS = {"package": zstd.by_package, "standard library": zstd.by_standard_library, "program": zstd.by_program}


@pytest.fixture(params=sorted(ENDS))
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> zstd.Way:
    """One of the three ways; before Python 3.14 its module stands in for itself as its own backport."""
    if request.param == "standard library" and sys.version_info < (3, 14):
        backport = pytest.importorskip("backports.zstd", reason="compression.zstd of Python 3.14, or its backport")
        monkeypatch.setitem(sys.modules, "compression", sys.modules["backports"])
        monkeypatch.setitem(sys.modules, "compression.zstd", backport)
    return ENDS[request.param]


def content(size: int = 700_000) -> bytes:
    """Half noise, half zeros: raw, compressed and run-length blocks all occur."""
    return random.Random(7).randbytes(size // 2) + bytes(size // 2)


def frame(data: bytes, **options: object) -> bytes:
    compressor = zstandard.ZstdCompressor(level=3, write_checksum=True, **options)  # type: ignore[arg-type]
    return compressor.compress(data)


def streamed_frame(data: bytes, window_log: int) -> bytes:
    """A frame that does not tell its content's size, so that its window is the one asked for."""
    parameters = zstandard.ZstdCompressionParameters(window_log=window_log, write_checksum=True)
    compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    return compressor.compress(data) + compressor.flush()


def unpack(data: bytes, way: zstd.Way) -> bytes:
    with open_decompressor(io.BytesIO(data), where="a test", ways=[way]) as stream:
        return stream.read()


SKIPPABLE = b"\x5a\x2a\x4d\x18" + (5).to_bytes(4, "little") + b"notes"


@pytest.mark.parametrize(
    "form",
    [
        frame,
        lambda data: frame(data[:1000]) + frame(data[1000:]),
        lambda data: SKIPPABLE + frame(data) + SKIPPABLE,
        lambda data: streamed_frame(data, 27),
        lambda data: frame(b"") + frame(data, threads=2),
    ],
    ids=["one frame", "two frames", "skippable frames", "window of 128 MiB", "empty frame first"],
)
def test_content_is_read(form: Callable[[bytes], bytes], way: zstd.Way) -> None:
    assert unpack(form(content()), way) == content()


def test_pieces_of_any_size(way: zstd.Way) -> None:
    class Slow(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            return super().read(7 if size is None or size < 0 else min(size, 7))

    with open_decompressor(Slow(frame(content(20_000))), ways=[way]) as stream:
        assert b"".join(iter(lambda: stream.read(11), b"")) == content(20_000)


@pytest.mark.parametrize("cut", [1, 3, 4, 5, 9, 100, 350_000, -1, -4, -5])
def test_cut_stream_is_refused(cut: int, way: zstd.Way) -> None:
    whole = frame(content())
    with pytest.raises(BundleError, match=r"middle of a frame|not a zstd frame"):
        unpack(whole[:cut], way)


def test_second_frame_cut_is_refused(way: zstd.Way) -> None:
    with pytest.raises(BundleError, match="middle of a frame"):
        unpack(frame(content()) + frame(content())[:-2], way)


@pytest.mark.parametrize("garbage", [b"\0", b"garbage", bytes(1 << 20)], ids=["one byte", "text", "a MiB of zeros"])
def test_bytes_after_the_last_frame_are_refused(garbage: bytes, way: zstd.Way) -> None:
    with pytest.raises(BundleError, match="damaged"):
        unpack(frame(content()) + garbage, way)


def test_empty_stream_is_refused(way: zstd.Way) -> None:
    with pytest.raises(BundleError, match="no zstd frame"):
        unpack(b"", way)


def test_changed_content_is_refused(way: zstd.Way) -> None:
    data = bytearray(frame(content()))
    data[1000] ^= 1  # in a raw block: only the frame's checksum tells
    with pytest.raises(BundleError) as caught:
        unpack(bytes(data), way)
    assert caught.value.where == "a test"


def test_window_above_the_bound_is_refused(way: zstd.Way) -> None:
    with pytest.raises(BundleError, match=f"window of {1 << 28} bytes"):
        unpack(streamed_frame(content(), 28), way)


def test_every_changed_byte_of_a_small_frame_is_refused_or_harmless(way: zstd.Way) -> None:
    data = frame(b"The quick brown fox jumps over the lazy dog. " * 3)
    for position in range(len(data)) if way is not zstd.by_program else range(0, len(data), 5):
        changed = bytearray(data)
        changed[position] ^= 0x10
        try:
            assert unpack(bytes(changed), way) == b"The quick brown fox jumps over the lazy dog. " * 3
        except BundleError:
            continue


def test_error_of_the_source_comes_through(way: zstd.Way) -> None:
    class Failing(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell() > 100_000:
                raise BundleError("digest differs", where="blob", remedy="copy again")
            return super().read(min(size or 0, 50_000) if size and size > 0 else 50_000)

    with (
        pytest.raises(BundleError, match="digest differs"),
        open_decompressor(Failing(frame(content())), ways=[way]) as s,
    ):
        s.read()


def test_closing_early_leaves_no_process_and_no_thread(way: zstd.Way) -> None:
    before = set(threading.enumerate())  # what other tests left may end meanwhile
    stream = open_decompressor(io.BytesIO(frame(content(8_000_000))), ways=[way])
    assert stream.read(10) == content(8_000_000)[:10]
    stream.close()
    assert set(threading.enumerate()) <= before
    children = subprocess.run(["pgrep", "-P", str(os.getpid()), "-x", "zstd"], capture_output=True, check=False).stdout
    assert children == b""


def test_memory_is_flat_for_a_bomb(way: zstd.Way) -> None:
    compressor = zstandard.ZstdCompressor(level=3).compressobj()
    bomb = b"".join(compressor.compress(bytes(1 << 20)) for _ in range(512)) + compressor.flush()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    total = 0
    with open_decompressor(io.BytesIO(bomb), ways=[way]) as stream:
        while piece := stream.read(1 << 20):
            total += len(piece)
    assert total == 512 << 20
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10, "KiB"


def test_next_way_is_taken_where_one_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zstandard", None)
    with open_decompressor(io.BytesIO(frame(content()))) as stream:
        assert stream.read() == content()


def test_no_way_at_all_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zstandard", None)
    monkeypatch.setitem(sys.modules, "compression.zstd", None)
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(PreconditionError, match="zstd") as caught:
        open_decompressor(io.BytesIO(frame(content())))
    assert "TMPDIR" in caught.value.remedy


@pytest.mark.parametrize("step", [1, 2, 3, 1000])
def test_walker_takes_pieces_of_any_size(step: int) -> None:
    data = SKIPPABLE + frame(content(3000)) + frame(b"")
    walker = FrameWalker()
    for start in range(0, len(data), step):
        walker.feed(data[start : start + step])
    walker.finish()


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (bytes([0x08, 0x00]), "reserved bit"),
        (bytes([0x01, 0x00, 0x05]), "dictionary"),
        (bytes([0x00, 0x00, 0x07, 0x00, 0x00]), "impossible"),
        (bytes([0x00, 0x00, 0x01, 0x40, 0x00]), "impossible"),
    ],
    ids=["reserved bit", "dictionary", "reserved block type", "block above the window"],
)
def test_walker_refuses_headers(header: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        FrameWalker().feed(b"\x28\xb5\x2f\xfd" + header)
