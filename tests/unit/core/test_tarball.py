"""The bundle's tar has one form."""

from __future__ import annotations

import io
import tarfile

import pytest

from bundler.core.errors import BundleError
from bundler.core.tarball import BLOCK, END, padding, read_members, render_header, require_canonical_name

GIB = 1 << 30


def tar(*members: tuple[str, bytes]) -> bytes:
    return b"".join(render_header(name, len(data)) + data + bytes(padding(len(data))) for name, data in members) + END


def read(content: bytes) -> list[tuple[str, int, int]]:
    return [(item.name, item.offset, item.size) for item in read_members(io.BytesIO(content), "x.tar")]


@pytest.mark.parametrize("size", [0, 1, 511, 512, 513])
def test_what_is_written_is_read(size: int) -> None:
    assert read(tar(("a", b"x" * size), ("b/c", b""))) == [("a", 512, size), ("b/c", 1024 + size + padding(size), 0)]


@pytest.mark.parametrize("size", [0, 8 * GIB - 1, 8 * GIB, 8 * GIB + 1, 1 << 45])
def test_other_readers_read_sizes_beyond_octal(size: int) -> None:
    info = tarfile.TarInfo.frombuf(render_header("blob", size), "utf-8", "strict")
    assert (info.name, info.size, info.mode, info.mtime, info.uid) == ("blob", size, 0o644, 0, 0)


@pytest.mark.parametrize("name", ["a" * 100, "d" * 155 + "/" + "n" * 100, "ü" * 50, "dir/" * 30 + "x" * 80])
def test_long_names_are_read_by_others(name: str) -> None:
    with tarfile.open(fileobj=io.BytesIO(tar((name, b"x")))) as archive:
        assert archive.getnames() == [name]
    assert read(tar((name, b"x")))[0][0] == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "/a",
        "a/",
        "a//b",
        ".",
        "..",
        "a/../b",
        "./a",
        "a\\b",
        "a\nb",
        "a\x7f",
        "\udc80",
        "n" * 101,
        "d" * 156 + "/x",
    ],
)
def test_names_without_a_canonical_form_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"name|long|surrogates"):
        render_header(name, 0)


def test_a_canonical_name_may_be_in_any_script() -> None:
    require_canonical_name("models/文書 1/ü.bin")


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT])
def test_tars_of_other_programs_are_refused(form: int) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=form) as archive:
        info = tarfile.TarInfo("a")
        info.mtime = 1_700_000_000
        archive.addfile(info)
    with pytest.raises(BundleError):
        read(stream.getvalue())


@pytest.mark.parametrize("content", [b"", b"x", bytes(BLOCK), bytes(3 * BLOCK), END + b"x", tar(("a", b"x"))[:-1]])
def test_an_end_that_is_not_two_blocks_is_refused(content: bytes) -> None:
    with pytest.raises(BundleError):
        read(content)


def test_more_members_than_a_bundle_can_have_are_not_read() -> None:
    """100,000 are, as the format's page says."""
    blank = bytearray(render_header("member-000000", 0))
    blank[148:156] = b" " * 8
    headers = []
    for number in range(100_001):
        blank[7:13] = b"%06d" % number
        headers.append(bytes(blank[:148]) + b"%06o\0 " % sum(blank) + bytes(blank[156:]))
    assert len(read(b"".join(headers[:-1]) + END)) == 100_000
    with pytest.raises(BundleError, match="member member-100000 stands twice, or there are too many"):
        read(b"".join(headers) + END)


def test_errors_name_file_and_byte() -> None:
    content = bytearray(tar(("a", b"x"), ("b", b"y")))
    content[1024 + 156] = ord("2")
    with pytest.raises(BundleError) as caught:
        read(bytes(content))
    assert caught.value.where == "x.tar, byte 1024"


def test_a_size_in_another_form_is_refused() -> None:
    head = bytearray(render_header("a", 1))
    head[124:136] = b"\x80" + (1).to_bytes(11, "big")
    head[148:156] = b" " * 8
    head[148:156] = b"%06o\0 " % sum(head)
    assert tarfile.TarInfo.frombuf(bytes(head), "utf-8", "strict").size == 1
    with pytest.raises(BundleError):
        read(bytes(head) + b"x" + bytes(511) + END)


@pytest.mark.parametrize("field", [b"-0000000001\0", b" 0000000001\0", b"+0000000001\0", b"0000000_001\0"])
def test_a_size_is_digits_alone(field: bytes) -> None:
    content = bytearray(tar(("a", b"x")))
    content[124:136] = field
    content[148:156] = b" " * 8
    content[148:156] = b"%06o\0 " % sum(content[:512])
    with pytest.raises(BundleError):
        read(bytes(content))
