"""Damage, one byte at a time: whatever is changed in a bundle or its kit is refused, by the opening or by ``verify``.

Every byte of headers, padding, metadata, the end, and of the kit's small files is changed once (each to one other
value, of which the low and the high bits take turns). A change is judged in memory: the tar is a buffer, the disk is
touched for what the kit adds alone.
"""

from __future__ import annotations

import io
import os
import random
import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, cast

import pytest

from bundler.core.bundle import VerifiedBundle, open_bundle, open_members
from bundler.core.digest import Digest
from bundler.core.errors import BundleError, BundlerError, PreconditionError
from bundler.core.kit import Kit, TrustPolicy
from bundler.core.layout import MEMBERS, METADATA, SHA256SUMS
from bundler.core.progress import SilentProgress
from bundler.core.tarball import BLOCK, END, Member, padding, read_members, render_header
from bundler.core.verify import verify_kit
from tests.support.tiny_bundle import Tiny, make_tiny_kit

POLICY = TrustPolicy()
REFUSALS = (BundleError, PreconditionError)
# Of this run (conftest.py). It stands in the names of the tests, so that a failed one tells it and can be run again.
SEED = int(os.environ["BUNDLER_TEST_SEED"])


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = make_tiny_kit(tmp_path_factory.mktemp("tiny"))
    assert tar_of(made).stat().st_size <= 200_000
    return made


@pytest.fixture(scope="module")
def larger_kit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_kit(tmp_path_factory.mktemp("larger"), Tiny(noise=6 << 20))


def tar_of(kit: Path) -> Path:
    return next(kit.glob("*.tar"))


class Buffered:
    """The members of a tar in memory."""

    def __init__(self, content: bytes) -> None:
        self._content = memoryview(content)
        self._members = {item.name: item for item in read_members(io.BytesIO(content), "bundle.tar")}

    def names(self) -> Sequence[str]:
        return tuple(self._members)

    def size(self, name: str) -> int:
        return self._members[name].size

    def open(self, name: str) -> BinaryIO:
        member = self._members[name]
        return cast("BinaryIO", io.BytesIO(self._content[member.offset : member.offset + member.size]))


def opened(content: bytes) -> VerifiedBundle:
    """A bare tar, from memory."""
    return open_members(Kit(None, Path("bundle.tar"), {}), Buffered(content))


def read_whole(content: bytes) -> None:
    """Open a bare tar and read all that it gives out."""
    bundle = opened(content)
    for image in bundle.images:
        for layer in image.layers:
            bundle.open_plain_layer(layer).read()
    for file in bundle.manifest.files:
        bundle.open_payload(file).read()


def changed(content: bytes, position: int) -> bytes:
    """One byte changed: a low bit, a high bit, or all of them, by turns."""
    value = content[position] ^ (0x01, 0x80, 0x20, 0xFF)[position % 4]
    return content[:position] + bytes([value]) + content[position + 1 :]


def require_refused(positions: Iterator[int], content: bytes) -> int:
    """Change every position on its own; returns how many were tried."""
    accepted, tried = [], 0
    for position in positions:
        tried += 1
        try:
            read_whole(changed(content, position))
        except REFUSALS:
            continue
        accepted.append(position)
    assert accepted == []
    return tried


def outside_of_contents(content: bytes) -> Iterator[int]:
    """Headers, padding and the end."""
    inside = set()
    for member in read_members(io.BytesIO(content), "bundle.tar"):
        inside.update(range(member.offset, member.offset + member.size))
    return (position for position in range(len(content)) if position not in inside)


def member_of(content: bytes, name: str) -> Member:
    return next(item for item in read_members(io.BytesIO(content), "bundle.tar") if item.name == name)


def test_the_bundle_itself_is_whole(kit: Path) -> None:
    read_whole(tar_of(kit).read_bytes())
    assert verify_kit(kit, POLICY, SilentProgress()).problems == ()
    assert open_bundle(kit, POLICY).manifest.title == kit.name


def test_every_byte_of_headers_padding_and_the_end(kit: Path) -> None:
    content = tar_of(kit).read_bytes()
    count = len(read_members(io.BytesIO(content), "bundle.tar"))
    assert require_refused(outside_of_contents(content), content) >= count * BLOCK + len(END)


@pytest.mark.parametrize("name", [*METADATA, MEMBERS])
def test_every_byte_of_metadata_in_a_bare_tar(kit: Path, name: str) -> None:
    content = tar_of(kit).read_bytes()
    member = member_of(content, name)
    assert require_refused(iter(range(member.offset, member.offset + member.size)), content) > 20


def test_every_byte_of_configs_manifests_and_payload(kit: Path) -> None:
    content = tar_of(kit).read_bytes()
    bundle = opened(content)
    names = [f"blobs/sha256/{d.hex}" for i in bundle.images for d in (i.image_id, i.manifest_digest)]
    for name in [*names, *(f"files/{file.path}" for file in bundle.manifest.files)]:
        member = member_of(content, name)
        require_refused(iter(range(member.offset, member.offset + member.size)), content)


def test_every_byte_of_small_blobs(kit: Path) -> None:
    content = tar_of(kit).read_bytes()
    for image in opened(content).images:
        for layer in image.layers:
            member = member_of(content, f"blobs/sha256/{layer.blob.digest.hex}")
            require_refused(iter(range(member.offset, member.offset + member.size)), content)


def small_files(kit: Path) -> list[Path]:
    return sorted(path for path in kit.rglob("*") if path.is_file() and path.suffix != ".tar")


def test_every_byte_of_the_kits_small_files(kit: Path, tmp_path: Path) -> None:
    """The sums, the head, the loader, the papers; the tar stays as it is, and its sum is compared by ``verify``."""
    copy = tmp_path / kit.name
    shutil.copytree(kit, copy)
    tar_line = tar_of(kit).name.encode()
    for path in small_files(copy):
        content = path.read_bytes()
        start = next((content.rfind(b"\n", 0, content.find(tar_line)) + 1 for _ in [0] if path.name == SHA256SUMS), -1)
        accepted = []
        for position in range(len(content)):
            path.write_bytes(changed(content, position))
            of_the_tar = start <= position < start + 64 if start >= 0 else False
            if _passes(copy, reading_all=of_the_tar):
                accepted.append(position)
        path.write_bytes(content)
        assert accepted == [], path.name
    assert not verify_kit(copy, POLICY, SilentProgress()).problems


def _passes(kit: Path, *, reading_all: bool) -> bool:
    try:
        if reading_all:
            return not verify_kit(kit, POLICY, SilentProgress()).problems
        open_bundle(kit, POLICY)
    except BundlerError:
        return False
    return True


@pytest.mark.parametrize("seed", [SEED])
def test_50_places_in_the_blobs_of_a_larger_bundle(larger_kit: Path, seed: int) -> None:
    rng, tar = random.Random(seed), tar_of(larger_kit)
    blobs = [layer.blob for layer in open_bundle(larger_kit, POLICY).images[1].layers]
    content = bytearray(tar.read_bytes())
    places = []
    for blob in rng.choices(blobs, weights=[blob.size for blob in blobs], k=50):
        member = member_of(bytes(content), f"blobs/sha256/{blob.digest.hex}")
        places.append(member.offset + rng.randrange(member.size))
    original = bytes(content)
    for place in places:
        content[place] ^= 1 << rng.randrange(8)
        tar.write_bytes(content)
        report = verify_kit(larger_kit, POLICY, SilentProgress())
        assert any("blobs/sha256/" in problem.where for problem in report.problems), (seed, place)
        assert any("SHA256SUMS" in problem.what for problem in report.problems), (seed, place)
        with pytest.raises(BundleError):
            read_whole(bytes(content))
        content[place] = original[place]
    tar.write_bytes(original)
    assert not verify_kit(larger_kit, POLICY, SilentProgress()).problems


@pytest.mark.parametrize("seed", [SEED])
def test_truncated_at_20_places(kit: Path, tmp_path: Path, seed: int) -> None:
    content = tar_of(kit).read_bytes()
    copy = tmp_path / kit.name
    shutil.copytree(kit, copy)
    places = [0, 1, BLOCK, len(content) - 1, len(content) - BLOCK, len(content) - len(END)]
    places += random.Random(seed).sample(range(len(content)), 20 - len(places))
    for place in places:
        tar_of(copy).write_bytes(content[:place])
        with pytest.raises(BundleError):
            open_bundle(tar_of(copy), POLICY)
        assert verify_kit(copy, POLICY, SilentProgress()).problems, (seed, place)


def test_bytes_after_the_end(kit: Path) -> None:
    content = tar_of(kit).read_bytes()
    for more in (b"\0", bytes(BLOCK), b"x" * BLOCK, content):
        with pytest.raises(BundleError, match="nothing after"):
            opened(content + more)


def split(content: bytes) -> list[tuple[str, bytes]]:
    members = read_members(io.BytesIO(content), "bundle.tar")
    return [(item.name, content[item.offset : item.offset + item.size]) for item in members]


def joined(members: Sequence[tuple[str, bytes]]) -> bytes:
    return b"".join(render_header(name, len(data)) + data + bytes(padding(len(data))) for name, data in members) + END


def relisted(members: list[tuple[str, bytes]]) -> bytes:
    """The same with a MEMBERS that an attacker made to fit."""
    rest = [(name, data) for name, data in members if name != MEMBERS]
    listed = "".join(f"{Digest.of(data).hex}  {name}\n" for name, data in rest).encode()
    return joined([*rest, (MEMBERS, listed)])


def test_taking_a_bundle_apart_and_joining_it_gives_the_same_bytes(kit: Path) -> None:
    content = tar_of(kit).read_bytes()
    assert joined(split(content)) == relisted(split(content)) == content


@pytest.mark.parametrize("form", [joined, relisted])
def test_a_member_added_or_removed_or_moved(kit: Path, form: object) -> None:
    """At every place; MEMBERS, which is the last, is written anew where it is made to fit."""
    assert callable(form)
    members = split(tar_of(kit).read_bytes())
    more = ("blobs/sha256/" + "0" * 64, b"more")
    for place in range(len(members) - (form is relisted)):
        before, one, after = members[:place], members[place], members[place + 1 :]
        require_refused_members(form([*before, more, one, *after]), f"added at {place}")
        require_refused_members(form([*before, *after]), f"{one[0]} removed")
        if len(after) > (form is relisted):
            require_refused_members(form([*before, after[0], one, *after[1:]]), f"{one[0]} moved")
    require_refused_members(form([*members, more]), "added at the end")


def require_refused_members(content: bytes, what: str) -> None:
    try:
        read_whole(content)
    except BundleError:
        return
    raise AssertionError(what)


@pytest.mark.parametrize("form", [joined, relisted])
def test_a_member_doubled(kit: Path, form: object) -> None:
    assert callable(form)
    members = split(tar_of(kit).read_bytes())
    for place in range(len(members) - (form is relisted)):  # MEMBERS itself is written anew there
        with pytest.raises(BundleError):
            read_whole(form([*members[:place], members[place], *members[place:]]))


@pytest.mark.parametrize("name", ["../x", "/x", "./x", "a/../x", "a//x", ""])
def test_a_member_renamed_to_lead_elsewhere(kit: Path, name: str) -> None:
    """The header is otherwise right: name, checksum and all."""
    content = tar_of(kit).read_bytes()
    head = bytearray(render_header("x" * max(len(name), 1), len(split(content)[0][1])))
    head[:100] = name.encode().ljust(100, b"\0")
    head[148:156] = b" " * 8
    head[148:156] = b"%06o\0 " % sum(head)
    with pytest.raises(BundleError, match=re.escape(f"not a relative, normalised name: {name!r}")):
        opened(bytes(head) + content[BLOCK:])


@pytest.mark.parametrize("kind", [b"1", b"2", b"3", b"5", b"6", b"7", b"x", b"L", b"\0"])
def test_a_member_that_is_no_regular_file(kit: Path, kind: bytes) -> None:
    content = tar_of(kit).read_bytes()
    head = bytearray(content[:BLOCK])
    head[156:157] = kind
    head[148:156] = b" " * 8
    head[148:156] = b"%06o\0 " % sum(head)
    with pytest.raises(BundleError):
        opened(bytes(head) + content[BLOCK:])


@pytest.mark.parametrize("name", ["extra.txt", "head/extra", "papers/more", "SHA256SUMS.bak"])
def test_a_file_more_in_the_kit(kit: Path, tmp_path: Path, name: str) -> None:
    copy = tmp_path / kit.name
    shutil.copytree(kit, copy)
    (copy / name).write_bytes(b"x")
    with pytest.raises(BundleError) as caught:
        open_bundle(copy, POLICY)
    assert [problem.where for problem in caught.value.problems] == [name]


def test_a_file_less_in_the_kit(kit: Path, tmp_path: Path) -> None:
    copy = tmp_path / kit.name
    shutil.copytree(kit, copy)
    for path in small_files(copy):
        content = path.read_bytes()
        path.unlink()
        assert not _passes(copy, reading_all=False)
        if path.name != SHA256SUMS:
            assert verify_kit(copy, POLICY, SilentProgress()).problems
        path.write_bytes(content)
    assert _passes(copy, reading_all=True)


def test_a_link_in_the_place_of_a_file(kit: Path, tmp_path: Path) -> None:
    copy = tmp_path / kit.name
    shutil.copytree(kit, copy)
    (copy / "README.txt").rename(tmp_path / "elsewhere")
    (copy / "README.txt").symlink_to(tmp_path / "elsewhere")
    assert not _passes(copy, reading_all=False)
