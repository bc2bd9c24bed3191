"""Tables that are printed at the end of a run: tests note rows, and each table is shown once, over all its tests.

Rows travel in the tests' reports, so that they also come from the workers of pytest-xdist. `tests/conftest.py` says which
tables there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import pytest

Cells = tuple[str, ...]
RecordProperty = Callable[[str, object], None]


def _as_noted(_: Cells) -> tuple[bool, ...]:
    return ()


def _nothing(_: Sequence[Cells]) -> Sequence[str]:
    return ()


@dataclass(frozen=True)
class Table:
    """A title and the columns' heads; columns that stand to the right; how rows are sorted; the lines below them."""

    title: str
    head: Cells
    right: frozenset[int] = frozenset()
    order: Callable[[Cells], tuple[bool, ...]] = _as_noted
    closing: Callable[[Sequence[Cells]], Sequence[str]] = _nothing

    def note(self, record_property: RecordProperty, *cells: object) -> None:
        """Add a row, out of a test, by pytest's fixture of that name."""
        assert len(cells) == len(self.head), cells
        record_property(self.title, tuple(map(str, cells)))

    def lines(self, rows: Sequence[Cells]) -> Iterator[str]:
        """What is printed of rows that were noted."""
        shown = [self.head, *sorted(rows, key=self.order)]
        widths = [max(len(row[number]) for row in shown) for number in range(len(self.head))]
        sides = [">" if number in self.right else "<" for number in range(len(self.head))]
        for row in shown:
            cells = zip(row, sides, widths, strict=True)
            yield "  ".join(f"{cell:{side}{width}}" for cell, side, width in cells).rstrip()
        yield from self.closing(rows)


def print_tables(tables: Sequence[Table], reporter: pytest.TerminalReporter) -> None:
    """Each table that has rows in the reports of this run."""
    reports = [report for group in reporter.stats.values() for report in group]
    called = [report for report in reports if getattr(report, "when", "") == "call"]
    noted = [item for report in called for item in getattr(report, "user_properties", ())]
    for table in tables:
        rows = [tuple(map(str, value)) for name, value in noted if name == table.title]
        if rows:
            reporter.section(table.title)
            for line in table.lines(rows):
                reporter.write_line(line)
