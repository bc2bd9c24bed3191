"""Sizes, times and tables as people read them."""

from __future__ import annotations

import pytest

from bundler.cli.tables import human_size, human_time, table


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (5 << 30, "5.0 GiB"),
        (3 << 50, "3,072.0 TiB"),
    ],
)
def test_sizes(size: int, shown: str) -> None:
    assert human_size(size) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0.04, "0.0 s"), (9.94, "9.9 s"), (59.4, "59 s"), (185, "3 min 05 s"), (7620, "2 h 07 min")]
)
def test_times(seconds: float, shown: str) -> None:
    assert human_time(seconds) == shown


def test_table() -> None:
    rows = [("a", "1 B", "x"), ("longer", "12 B", "")]
    assert table(("NAME", "SIZE", "IN"), rows, right=(1,)).splitlines() == [
        "NAME    SIZE  IN",
        "a        1 B  x",
        "longer  12 B",
    ]
