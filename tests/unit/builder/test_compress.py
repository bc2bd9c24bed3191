"""One pass over a layer: the same bytes whatever the threads and pieces, the right digests, little memory."""

from __future__ import annotations

import io
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bundler.builder.compress import Compression, compress_chunks, compress_stream
from bundler.builder.staged_blobs import StagedBlobs
from bundler.core.digest import Digest
from bundler.core.errors import BuildError
from bundler.core.oci import LAYER_ZSTD
from bundler.core.readers import open_plain

SEEDED = random.Random(11)
#: Several jobs of zstd long, with parts that shrink and parts that do not.
CONTENT = b"".join(SEEDED.randbytes(300_000) + b"abc%d" % number * 50_000 for number in range(12))


def packed(chunks: Iterator[bytes], compression: Compression) -> tuple[Digest, bytes]:
    sink = io.BytesIO()
    return compress_chunks(chunks, sink, compression).diff_id, sink.getvalue()


def pieces(content: bytes, size: int) -> Iterator[bytes]:
    return (content[at : at + size] for at in range(0, len(content), size))


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
@pytest.mark.parametrize("size", [4097, 1 << 20, 1 << 30])
def test_the_bytes_depend_on_neither_threads_nor_pieces(threads: int, size: int) -> None:
    expected = packed(pieces(CONTENT, 65536), Compression(threads=2))
    assert packed(pieces(CONTENT, size), Compression(threads=threads)) == expected


def test_small_contents_do_not_depend_on_pieces_either() -> None:
    assert packed(pieces(b"x" * 1000, 1), Compression()) == packed(pieces(b"x" * 1000, 1000), Compression(threads=1))


@pytest.mark.parametrize("content", [b"", b"x", CONTENT])
@pytest.mark.parametrize("level", [1, 3, 12])
def test_what_is_packed_is_read_back_checked(content: bytes, level: int) -> None:
    sink = io.BytesIO()
    made = compress_stream(io.BytesIO(content), sink, Compression(level))
    assert (made.blob.digest, made.blob.size) == (Digest.of(sink.getvalue()), len(sink.getvalue()))
    assert (made.diff_id, made.uncompressed_size) == (Digest.of(content), len(content))
    assert made.blob.media_type == LAYER_ZSTD
    with open_plain(made.layer("os"), io.BytesIO(sink.getvalue()), "test") as plain:
        assert plain.read() == content


def test_the_program_zstd_reads_a_blob_and_finds_its_checksum() -> None:
    blob = packed(pieces(CONTENT, 1 << 20), Compression())[1]
    unpacked = subprocess.run(["zstd", "-dc"], input=blob, capture_output=True, check=True)
    assert unpacked.stdout == CONTENT
    assert blob[4] & 0x04, "the frame has a checksum"
    assert not blob[4] & 0xE0, "the frame states no size"


def test_no_such_level_is_refused() -> None:
    for arguments in ({"level": 0}, {"level": 20}, {"threads": 0}):
        with pytest.raises(ValueError, match="no such compression"):
            Compression(**arguments)


def test_an_error_of_the_source_or_the_sink_ends_the_threads() -> None:
    import threading

    def failing() -> Iterator[bytes]:
        yield b"x" * 1000
        raise BuildError("a file changed", where="here", remedy="again")

    class Full:
        def write(self, data: bytes) -> None:
            raise OSError(28, "No space left on device")

    with pytest.raises(BuildError):
        compress_chunks(failing(), io.BytesIO())
    with pytest.raises(OSError, match="space"):
        compress_chunks(pieces(CONTENT, 1 << 16), Full())
    assert not [thread for thread in threading.enumerate() if thread.name == "hasher"]


def test_a_layer_of_an_engine_is_packed_once(tmp_path: Path) -> None:
    staged = StagedBlobs(tmp_path / "blobs", Compression())
    diff_id = Digest.of(CONTENT)
    assert staged.find(diff_id) is None
    made = staged.pack(io.BytesIO(CONTENT), diff_id)
    assert Digest.of(made.path.read_bytes()) == made.compressed.blob.digest
    assert staged.find(diff_id) == made
    assert StagedBlobs(tmp_path / "blobs", Compression(4)).find(diff_id) is None
    assert staged.pack(io.BytesIO(CONTENT), None) == made
    made.path.write_bytes(made.path.read_bytes()[:-1])
    assert staged.find(diff_id) is None
    staged.discard(made)
    assert list((tmp_path / "blobs").iterdir()) == []


def test_a_layer_that_is_not_what_its_image_says_is_not_kept(tmp_path: Path) -> None:
    staged = StagedBlobs(tmp_path, Compression())
    with pytest.raises(BuildError, match="diff_id"):
        staged.pack(io.BytesIO(b"other"), Digest.of(b"stated"))
    assert list(tmp_path.iterdir()) == []


_PASS = """
import json, re, sys
from pathlib import Path, PurePosixPath
import huggingface_hub, docker, pydantic, bundler.builder.recipe  # what a build has in memory anyway
from bundler.builder.compress import Compression, compress_chunks
from bundler.builder.layer import layer_chunks
from bundler.builder.model_tree import ModelTree, TreeFile, model_entries
from bundler.builder.writer import BundleWriter
from bundler.core.digest import Digest
def high_water():  # KiB; getrusage would count what the process was before exec, which is the test runner
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
weights, digest, target, level = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), int(sys.argv[4])
file = TreeFile("model.safetensors", weights.stat().st_size, Digest(digest), weights)
entries = model_entries(ModelTree("m", PurePosixPath("/app/m"), 0, 0, (file,)))
before = high_water()
with BundleWriter(target) as writer:
    packing = Compression(level, threads=8)
    made = writer.add_blob_stream(lambda sink: compress_chunks(layer_chunks(entries), sink, packing))
peak = high_water()
print(json.dumps({"before": before, "peak": peak, "size": made.uncompressed_size, "stored": made.blob.size}))
"""


def measured_pass(tmp_path: Path, size: int, level: int = 3) -> dict[str, int]:
    """A model of ``size`` random bytes (what packs worst and buffers most) passes in a process of its own."""
    import hashlib

    weights, hasher, block = tmp_path / "weights", hashlib.sha256(), random.Random(size).randbytes(min(size, 64 << 20))
    with weights.open("wb") as stream:
        for number in range(size // len(block)):
            chunk = number.to_bytes(8, "big") + block[8:]
            stream.write(chunk)
            hasher.update(chunk)
    arguments = [sys.executable, "-c", _PASS, str(weights), hasher.hexdigest(), str(tmp_path / "out.tar"), str(level)]
    began = time.monotonic()
    done = subprocess.run(arguments, capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": "."})
    print(f"{size >> 20} MiB at level {level} in {time.monotonic() - began:.1f} s: {done.stdout}")
    weights.unlink()
    return dict(json.loads(done.stdout))


def test_a_pass_over_a_model_stays_below_256_mib(tmp_path: Path) -> None:
    measured = measured_pass(tmp_path, 768 << 20)
    assert measured["size"] > 768 << 20
    assert measured["peak"] < 256 << 10, "KiB"


@pytest.mark.parametrize("level", [8, 11, 12, 15, *(pytest.param(each, marks=pytest.mark.soak) for each in (18, 19))])
def test_high_levels_take_fewer_threads_and_no_more_memory(tmp_path: Path, level: int) -> None:
    assert measured_pass(tmp_path, 40 << 20, level)["peak"] < 256 << 10, "KiB"


def test_fewer_threads_are_taken_where_fewer_are_given() -> None:
    assert [Compression(level, threads=2).workers for level in (1, 8, 12, 18, 19)] == [2, 2, 2, 2, 1]
    assert [Compression(level, threads=8).workers for level in (3, 8, 9, 11, 12, 13, 18, 19)] == [
        8,
        8,
        4,
        4,
        3,
        2,
        2,
        1,
    ]


@pytest.mark.soak
def test_a_pass_over_4_gib_stays_below_256_mib(tmp_path: Path) -> None:
    measured = measured_pass(tmp_path, 4 << 30)
    assert measured["size"] > 4 << 30
    assert measured["peak"] < 256 << 10, "KiB"
