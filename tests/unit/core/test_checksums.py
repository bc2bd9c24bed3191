"""Lists of checksums: what sha256sum writes, and nothing else."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from bundler.core.checksums import parse_sums, render_sums
from bundler.core.digest import Digest
from bundler.core.errors import BundleError

ZERO, ONE = Digest("0" * 64), Digest("1" * 64)


def test_sha256sum_reads_and_writes_the_same(tmp_path: Path) -> None:
    names = ["a", "b c", "dir/ü", " leading"]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    content = render_sums({name: Digest.of(name.encode()) for name in names})
    (tmp_path / "SUMS").write_bytes(content)
    subprocess.run(["sha256sum", "--check", "--strict", "--quiet", "SUMS"], cwd=tmp_path, check=True)
    assert subprocess.run(["sha256sum", *names], cwd=tmp_path, capture_output=True, check=True).stdout == content
    assert list(parse_sums(content, "x")) == names


LINE = b"0" * 64 + b"  a\n"


@pytest.mark.parametrize(
    "content",
    [
        LINE[:-1],
        LINE + b"\n",
        b"\n",
        b" " + LINE,
        LINE + LINE,
        b"0" * 63 + b"  a\n",
        b"A" * 64 + b"  a\n",
        b"0" * 64 + b" *a\n",
        b"0" * 64 + b" a\n",
        b"0" * 64 + b"  \n",
        b"0" * 64 + b"  ../a\n",
        b"0" * 64 + b"  /a\n",
        b"0" * 64 + b"  a\r\n",
        b"\\" + b"0" * 64 + b"  a\\nb\n",
        b"0" * 64 + b"  \xff\n",
        b"\xef\xbb\xbf" + LINE,
        "\uff10".encode() * 64 + b"  a\n",
    ],
)
def test_what_is_not_of_the_form_is_refused(content: bytes) -> None:
    with pytest.raises(BundleError, match="not a list of checksums"):
        parse_sums(content, "SUMS")


def test_the_order_is_kept() -> None:
    sums = {"b": ONE, "a": ZERO}
    assert list(parse_sums(render_sums(sums), "x").items()) == list(sums.items())


@pytest.mark.parametrize("name", ["a\nb", "../a", "", "a\\b"])
def test_names_that_need_escapes_are_not_written(name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        render_sums({name: ZERO})
