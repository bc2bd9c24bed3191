"""Files of a layer as they stream by: what bundler writes is read, and what is hostile costs no memory."""

from __future__ import annotations

import io
import tarfile
from typing import BinaryIO, cast

import pytest

from bundler.builder.layer import Entry, layer_chunks, with_parents
from bundler.core.digest import Digest
from bundler.core.layer_files import file_digests

CONTENTS = {
    "models/m/config.json": b"{}",
    "models/m/模型/重み.bin": b"x" * 1000,
    f"models/{'a' * 120}/{'b' * 200}": b"long",
    "models/m/empty": b"",
}


def layer(*more: Entry) -> bytes:
    files = [Entry(name, size=len(content), source=content) for name, content in CONTENTS.items()]
    return b"".join(layer_chunks(with_parents([*files, *more])))


def member(kind: bytes, size: int, content: bytes = b"") -> bytes:
    entry = tarfile.TarInfo("x")
    entry.type, entry.size = kind, size
    return entry.tobuf(tarfile.GNU_FORMAT) + content + bytes(-len(content) % 512)


class Endless(io.RawIOBase):
    """Zeros without an end after ``head``; counts what was taken."""

    def __init__(self, head: bytes) -> None:
        super().__init__()
        self._head, self.taken = io.BytesIO(head), 0

    def read(self, size: int = -1) -> bytes:
        assert 0 < size <= 1 << 20, "asked for more at once than a piece"
        content = self._head.read(size) or bytes(size)
        self.taken += len(content)
        return content


def test_every_file_of_a_layer_is_found_with_its_digest() -> None:
    found = dict(file_digests(cast("BinaryIO", io.BytesIO(layer()))))
    assert found == {name: (len(content), Digest.of(content)) for name, content in CONTENTS.items()}


def test_what_is_no_file_is_told_as_such() -> None:
    found = dict(file_digests(io.BytesIO(layer(Entry("models/link", "symlink", 0o777, target="m")))))
    assert found["models/link"][0] == -1


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME])
def test_a_header_that_states_gigabytes_is_not_taken_into_memory(kind: bytes) -> None:
    stream = Endless(member(kind, 3 << 30))
    found: dict[str, tuple[int, Digest]] = {}
    try:
        found.update(file_digests(cast("BinaryIO", stream)))
    except ValueError as error:
        assert "pax records" in str(error)
    assert all(size == -1 for size, _ in found.values())
    assert stream.taken < 1 << 20


@pytest.mark.parametrize(
    "content",
    [
        b"",
        layer()[:700],
        b"no tar" * 500,
        member(tarfile.GNUTYPE_LONGNAME, 2, b"x") * 5000,
        member(tarfile.XHDTYPE, 20, b"20 size=-99999999999"),
        member(tarfile.XHDTYPE, 11, b"11 size=-9\n") + member(tarfile.REGTYPE, 0),
        member(tarfile.XHDTYPE, 5, b"0 a=b"),
        member(tarfile.XHDTYPE, 5, b"9 a=b"),
        member(tarfile.REGTYPE, 5, b"abcde")[:515],
    ],
    ids=["empty", "cut", "other", "chain", "number", "negative", "zero", "length", "cut-file"],
)
def test_what_is_no_layer_of_bundlers_is_refused(content: bytes) -> None:
    with pytest.raises((ValueError, tarfile.TarError)):
        dict(file_digests(io.BytesIO(content)))
