"""The tar is written in one pass, in one order, under a temporary name."""

from __future__ import annotations

import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from bundler.builder.compress import Compressed, Compression, Sink, compress_chunks
from bundler.builder.writer import BundleWriter
from bundler.core.digest import Digest
from bundler.core.errors import BuildError, PreconditionError
from bundler.core.oci import LAYER_ZSTD, Descriptor
from bundler.core.tarball import read_members
from tests.support.tiny_bundle import Tiny, write_tar


def produce(content: bytes) -> object:
    def write(sink: Sink) -> Compressed:
        return compress_chunks([content], sink, Compression(threads=1))

    return write


@pytest.fixture
def payload(tmp_path: Path) -> Path:
    path = tmp_path / "compose.yaml"
    path.write_bytes(b"services: {}\n")
    return path


def test_the_same_inputs_give_the_same_tar(tmp_path: Path, payload: Path) -> None:
    for name in ("a", "b"):
        write_tar(tmp_path / name, Tiny(), payload)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_every_blob_stands_there_once_in_the_canonical_order(tmp_path: Path, payload: Path) -> None:
    manifest = write_tar(tmp_path / "x.tar", Tiny(), payload)
    with (tmp_path / "x.tar").open("rb") as stream:
        names = [member.name for member in read_members(stream, "x.tar")]
    base, app = manifest.images
    blobs = [layer.blob.digest for layer in base.layers] + [base.image_id, base.manifest_digest]
    blobs += [app.layers[-1].blob.digest, app.image_id, app.manifest_digest]
    expected = [f"blobs/sha256/{digest.hex}" for digest in blobs]
    assert names == [
        *expected,
        "files/compose.yaml",
        "bundle.json",
        "index.json",
        "oci-layout",
        "manifest.json",
        "MEMBERS",
    ]


def test_coreutils_and_tar_agree_with_it(tmp_path: Path, payload: Path) -> None:
    write_tar(tmp_path / "x.tar", Tiny(), payload)
    (tmp_path / "out").mkdir()
    subprocess.run(["tar", "xf", tmp_path / "x.tar", "-C", tmp_path / "out"], check=True)
    subprocess.run(["sha256sum", "--check", "--strict", "--quiet", "MEMBERS"], cwd=tmp_path / "out", check=True)
    with tarfile.open(tmp_path / "x.tar") as archive:
        assert all((item.isreg(), item.mode, item.uid, item.mtime) == (True, 0o644, 0, 0) for item in archive)


def test_a_blob_that_is_there_already_is_dropped(tmp_path: Path) -> None:
    with BundleWriter(tmp_path / "x.tar") as writer:
        first = writer.add_blob_stream(produce(b"x" * 5000))
        again = writer.add_blob_stream(produce(b"x" * 5000))
        other = writer.add_blob_stream(produce(b"y" * 5000))
        temporary = next(tmp_path.iterdir())
        assert first == again != other
        assert writer.holds(first.blob.digest)
        writer.add_blob(b"{}")
        writer.add_blob(b"{}")
        writer._output._file.flush()
        with temporary.open("ab") as stream:
            stream.write(bytes(1024))
        with temporary.open("rb") as stream:
            assert [item.size for item in read_members(stream, "x")] == [first.blob.size, other.blob.size, 2]


def test_an_error_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(BuildError), BundleWriter(tmp_path / "x.tar") as writer:
        writer.add_blob(b"{}")
        raise BuildError("stop", where="here", remedy="none")
    assert list(tmp_path.iterdir()) == []


def test_an_order_that_is_not_canonical_is_a_bug_that_is_caught(tmp_path: Path, payload: Path) -> None:
    manifest = write_tar(tmp_path / "x.tar", Tiny(), payload)
    with BundleWriter(tmp_path / "y.tar") as writer, pytest.raises(AssertionError, match="another order"):
        writer.add_blob(b"not in the manifest")
        writer.finish(manifest, [])
    assert not (tmp_path / "y.tar").exists()


def test_a_damaged_blob_file_is_refused(tmp_path: Path) -> None:
    blob = tmp_path / "blob"
    blob.write_bytes(b"abc")
    with BundleWriter(tmp_path / "x.tar") as writer:
        for wrong in (Descriptor(LAYER_ZSTD, Digest.of(b"abd"), 3), Descriptor(LAYER_ZSTD, Digest.of(b"abc"), 4)):
            with pytest.raises(BuildError, match="damaged") as caught:
                writer.add_blob_file(blob, wrong)
            assert caught.value.where == str(blob)
    with BundleWriter(tmp_path / "x.tar") as writer, pytest.raises(BuildError, match="cannot be read"):
        writer.add_payload("x", tmp_path / "missing")


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    (tmp_path / f".x.tar.{os.getpid()}.part").symlink_to("/dev/full")
    with pytest.raises(PreconditionError, match="No space left"), BundleWriter(tmp_path / "x.tar") as writer:
        writer.add_blob_stream(produce(os.urandom(5 << 20)))
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_does_not_exist_is_told(tmp_path: Path) -> None:
    with pytest.raises(PreconditionError, match="No such file"):
        BundleWriter(tmp_path / "none" / "x.tar")
