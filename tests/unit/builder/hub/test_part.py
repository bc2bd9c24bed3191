"""What a part says is here after a kill, a restart, damage, and another file in its place."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from bundler.builder.hub import journal
from bundler.builder.hub.journal import Journal, segment_size
from bundler.builder.hub.part import Part

MIB = 1 << 20
SIZE = 20 * MIB + 5


@pytest.fixture
def part(tmp_path: Path) -> Part:
    return Part(tmp_path / "sha256-abc")


def fill(part: Part, *counts: int, mark: bool = True) -> None:
    """Write so many bytes more into each segment."""
    with part.opened(SIZE) as opened:
        for segment, count in zip(opened.segments, counts, strict=False):
            opened.write(segment, b"x" * count)
            if mark:
                opened.mark(segment)


def test_nothing_is_here_at_first_and_after_a_discard(part: Part) -> None:
    assert part.here() == 0
    fill(part, 100)
    assert part.here() == 100
    assert part.path.stat().st_size == SIZE
    part.discard()
    assert part.here() == 0
    assert list(part.path.parent.iterdir()) == []


def test_it_goes_on_where_it_was(part: Part) -> None:
    fill(part, 100, 0, 7)
    fill(part, 50, 1)
    with part.opened(SIZE) as opened:
        assert [opened.written(each) for each in opened.segments][:3] == [150, 1, 7]
        assert opened.prefix() == 150
        assert opened.here() == 158
    content = part.path.read_bytes()
    assert content[:150] == b"x" * 150
    assert content[150 : 4 * MIB] == bytes(4 * MIB - 150)


def test_the_prefix_ends_at_the_first_gap(part: Part) -> None:
    with part.opened(SIZE) as opened:
        first, second, *_ = opened.segments
        opened.write(second, bytes(second.size))
        assert opened.prefix() == 0
        opened.write(first, bytes(first.size))
        assert opened.prefix() == second.end
        assert first not in opened.missing()
        for each in opened.missing():
            opened.write(each, bytes(each.size))
        assert opened.prefix() == SIZE
        assert opened.missing() == []


def test_bytes_without_a_mark_are_not_here_after_a_kill(part: Part) -> None:
    with part.opened(SIZE) as opened:
        segment = opened.segments[0]
        opened.write(segment, b"x" * 10)
        assert opened.unmarked(segment) == 10
        assert part.here() == 0, "what another process would see"
        opened.mark(segment)
        assert part.here() == 10


def test_after_a_restart_of_the_machine_only_what_was_synced_is_believed(
    part: Part, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with part.opened(SIZE) as opened:
        segment = opened.segments[0]
        opened.write(segment, b"x" * 10)
        opened.mark(segment)
        opened.sync()
        opened.write(segment, b"x" * 10)
        opened.mark(segment)
        kept = part.journal.read_bytes()
    part.journal.write_bytes(kept)
    assert part.here() == 20
    boot = tmp_path / "boot"
    boot.write_text("6f4cf2b4-0f3e-4d4c-9a67-8a8f7d1f0001\n")
    monkeypatch.setattr(journal, "_BOOT_ID", boot)
    assert part.here() == 10
    fill(part, 1)
    assert part.here() == 11, "from now on the journal speaks of this start"


def test_a_journal_of_another_file_counts_for_nothing(part: Part) -> None:
    fill(part, 100)
    other = Part(part.path.with_name("sha256-def"))
    os.link(part.path, other.path)
    other.journal.write_bytes(part.journal.read_bytes())
    assert other.here() == 0


def test_a_part_of_another_size_or_without_its_file_begins_anew(part: Part) -> None:
    fill(part, 100)
    with part.opened(SIZE + 1) as opened:
        assert opened.here() == 0
    fill(part, 100)
    part.path.unlink()
    assert part.here() == 0
    fill(part, 5)
    os.truncate(part.path, 7)
    assert part.here() == 0


def test_no_damage_of_the_journal_is_believed_beyond_the_file(part: Part) -> None:
    """Cut anywhere, any byte changed: an error is never raised, and no segment is longer than it is."""
    fill(part, 100, 200, 300)
    good = part.journal.read_bytes()
    chance = random.Random(7)
    for _ in range(300):
        damaged = bytearray(good[: chance.randrange(len(good) + 1)] if chance.random() < 0.5 else good)
        if damaged:
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        part.journal.write_bytes(bytes(damaged))
        assert 0 <= part.here() <= SIZE
        with part.opened(SIZE) as opened:
            assert all(0 <= opened.written(each) <= each.size for each in opened.segments)
        part.journal.write_bytes(good)


def test_a_cut_journal_begins_anew(part: Part) -> None:
    fill(part, 100)
    part.journal.write_bytes(part.journal.read_bytes()[:-1])
    assert part.here() == 0


def test_a_prefix_that_others_wrote_is_adopted(part: Part) -> None:
    part.path.write_bytes(b"y" * (5 * MIB))
    part.adopt(SIZE, 5 * MIB)
    with part.opened(SIZE) as opened:
        assert opened.prefix() == opened.here() == 5 * MIB


def test_an_empty_file_is_whole(part: Part) -> None:
    with part.opened(0) as opened:
        assert opened.missing() == []
        assert opened.prefix() == 0
    assert part.path.read_bytes() == b""


@pytest.mark.parametrize("size", [0, 1, 3 * MIB, 64 * MIB, 1 << 30, 50 << 30, 1 << 40])
def test_segments_cover_the_file_and_are_of_a_useful_size(size: int) -> None:
    segments = list(Journal.new(size).segments())
    assert sum(each.size for each in segments) == size
    assert all(one.end == other.start for one, other in zip(segments, segments[1:], strict=False))
    assert 4 * MIB <= segment_size(size) <= 32 * MIB
