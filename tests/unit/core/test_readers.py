"""Checked streams raise before their last piece: nobody gets a whole object that is wrong."""

from __future__ import annotations

import gzip
import io
import threading
from pathlib import Path
from typing import BinaryIO, Callable

import pytest
import zstandard

from bundler.core import zstd
from bundler.core.digest import CHUNK_BYTES, Digest
from bundler.core.errors import BundleError, PreconditionError
from bundler.core.oci import LAYER_TAR, LAYER_ZSTD, Descriptor, Layer
from bundler.core.readers import CheckedReader, Section, open_plain, open_stored

PLAIN = b"abcdefgh" * (CHUNK_BYTES // 3)
GZIP = "application/vnd.docker.image.rootfs.diff.tar.gzip"
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    LAYER_ZSTD: lambda plain: zstandard.ZstdCompressor(threads=1).compress(plain),
    GZIP: gzip.compress,
    LAYER_TAR: lambda plain: plain,
}


def layer(media_type: str, plain: bytes = PLAIN) -> tuple[Layer, bytes]:
    blob = PACKERS[media_type](plain)
    return Layer(Digest.of(plain), len(plain), Descriptor.of(media_type, blob), "os"), blob


def opened(form: str, stated: Layer, blob: bytes) -> BinaryIO:
    return (open_plain if form == "plain" else open_stored)(stated, io.BytesIO(blob), "test")


def until_error(stream: BinaryIO) -> tuple[bytes, BaseException | None]:
    got = b""
    try:
        while chunk := stream.read(1 << 16):
            got += chunk
    except (BundleError, PreconditionError) as error:
        return got, error
    return got, None


@pytest.mark.parametrize("media_type", PACKERS)
@pytest.mark.parametrize("plain", [b"", b"x", PLAIN])
def test_what_is_right_is_handed_on(media_type: str, plain: bytes) -> None:
    stated, blob = layer(media_type, plain)
    with opened("plain", stated, blob) as stream:
        assert stream.read() == plain
    with opened("stored", stated, blob) as stream:
        assert stream.read() == blob


@pytest.mark.parametrize("form", ["plain", "stored"])
@pytest.mark.parametrize("media_type", PACKERS)
@pytest.mark.parametrize("fault", ["flipped", "cut", "longer", "lying diff_id", "lying size", "lying blob size"])
def test_what_is_wrong_is_never_handed_on_whole(form: str, media_type: str, fault: str) -> None:
    (stated, blob), diff_id, plain_size, blob_size = layer(media_type), Digest.of(PLAIN), len(PLAIN), None
    if fault == "flipped":
        middle = len(blob) // 2
        blob = blob[:middle] + bytes([blob[middle] ^ 1]) + blob[middle + 1 :]
    elif fault in ("cut", "longer"):
        blob = blob[:-1] if fault == "cut" else blob + b"\0"
    elif fault == "lying diff_id":
        diff_id = Digest.of(b"another")
    elif fault == "lying size":
        plain_size -= 1
    else:
        blob_size = len(blob) + 1
    descriptor = Descriptor(media_type, stated.blob.digest, blob_size or stated.blob.size)
    whole = PLAIN if form == "plain" else blob
    try:
        with opened(form, Layer(diff_id, plain_size, descriptor, "os"), blob) as stream:
            got, error = until_error(stream)
    except BundleError as raised:
        got, error = b"", raised
    assert isinstance(error, BundleError)
    assert len(got) < len(whole)


def test_a_blob_that_is_right_and_unpacks_to_something_else_is_refused_as_stored() -> None:
    """The digests of the blob hold; only the witness can tell. An empty blob too."""
    for blob in (PACKERS[LAYER_ZSTD](b"other"), b"", b"no zstd"):
        stated = Layer(Digest.of(PLAIN), len(PLAIN), Descriptor.of(LAYER_ZSTD, blob), "os")
        with opened("stored", stated, blob) as stream:
            assert isinstance(until_error(stream)[1], BundleError), blob


def test_a_witness_that_cannot_read_never_agrees(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host without any decompressor: the layer must not pass unlooked."""
    monkeypatch.setattr(zstd, "WAYS", ())
    stated, blob = layer(LAYER_ZSTD)
    with opened("stored", stated, blob) as stream:
        got, error = until_error(stream)
    assert isinstance(error, PreconditionError)
    assert len(got) < len(blob)


def test_nothing_is_left_running_when_a_reader_stops_early() -> None:
    before = set(threading.enumerate())  # what other tests left may end meanwhile
    stated, blob = layer(LAYER_TAR)
    with opened("stored", stated, blob) as stream:
        stream.read(10)
    assert set(threading.enumerate()) <= before


def test_a_section_is_a_part_of_a_file_and_tells_what_is_read(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(PLAIN)
    heard: list[tuple[int, bytes]] = []
    with Section(path, 1000, CHUNK_BYTES + 5, lambda offset, chunk: heard.append((offset, chunk))) as section:
        assert section.read() == PLAIN[1000 : 1000 + CHUNK_BYTES + 5]
    assert b"".join(chunk for _, chunk in heard) == PLAIN[1000 : 1000 + CHUNK_BYTES + 5]
    assert [offset for offset, chunk in heard if chunk] == [1000, 1000 + CHUNK_BYTES]


def test_a_file_that_cannot_be_read_is_a_finding(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="cannot be read: No such file"):
        Section(tmp_path / "missing", 0, 1)
    with pytest.raises(BundleError, match="cannot be read: Is a directory"):
        Section(tmp_path, 0, 1).read()
    with pytest.raises(BundleError, match="Input/output error"):
        Section(Path("/proc/self/mem"), 0, 10).read()


def test_a_closed_layer_keeps_no_file_open(tmp_path: Path) -> None:
    stated, blob = layer(LAYER_ZSTD)
    path = tmp_path / "blob"
    path.write_bytes(blob)
    section = Section(path, 0, len(blob))
    open_plain(stated, section, "test").close()  # type: ignore[arg-type]
    assert section.closed


def test_an_unknown_media_type_is_refused() -> None:
    stated = Layer(Digest.of(b"x"), 1, Descriptor.of("application/x-tar+xz", b"x"), "os")
    with pytest.raises(BundleError, match="unknown media type"):
        opened("plain", stated, b"x")


def test_after_an_error_the_last_piece_stays_back() -> None:
    reader = CheckedReader(io.BytesIO(PLAIN), Digest.of(b"another"), len(PLAIN), "test")
    got, error = until_error(reader)  # type: ignore[arg-type]
    assert isinstance(error, BundleError)
    assert len(got) + len(reader.read() or b"") < len(PLAIN)
