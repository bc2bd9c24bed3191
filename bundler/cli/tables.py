"""Small aligned tables of text, and sizes and times as people read them."""

from __future__ import annotations

from collections.abc import Sequence

from bundler.core.amounts import human_size, human_time
from bundler.core.printable import printable

__all__ = ["human_size", "human_time", "table"]


def table(header: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()) -> str:
    """Aligned columns; those whose numbers stand in ``right`` are flushed right. No line ends with a space."""
    lines = [list(header), *([printable(cell) for cell in row] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    return "\n".join(_line(line, widths, right) for line in lines)


def _line(cells: Sequence[str], widths: Sequence[int], right: Sequence[int]) -> str:
    padded = [
        cell.rjust(width) if column in right else cell.ljust(width)
        for column, (cell, width) in enumerate(zip(cells, widths))
    ]
    return "  ".join(padded).rstrip()
