"""Lines to passages: in reading order on skewed pages too, parted where the page has a gap."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from service.reader import Line

#: A distance from line to line this much larger than usual parts two passages.
_GAP = 1.35
#: A longer passage is parted: the model reads some 250 word pieces, and an answer is to be a place and not a page.
_LONGEST = 6


@dataclass(frozen=True)
class _Placed:
    """A line by its middle on the page turned upright; ``height`` is of its letters, all in pixels."""

    line: Line
    x: float
    y: float
    height: float


def passages_of(lines: Sequence[Line]) -> list[tuple[Line, ...]]:
    """The lines of a page, each in one passage, top to bottom and left to right."""
    rows = _rows(_upright(lines))
    if not rows:
        return []
    tops = [row[0].y for row in rows]
    steps = [after - before for before, after in zip(tops, tops[1:], strict=False)]
    usual = median(steps) if steps else 0.0
    passages: list[list[Line]] = [[]]
    for row, step in zip(rows, [0.0, *steps], strict=True):
        if step > _GAP * usual or len(passages[-1]) >= _LONGEST:
            passages.append([])
        passages[-1] += [placed.line for placed in row]
    return [tuple(passage) for passage in passages]


def _upright(lines: Sequence[Line]) -> list[_Placed]:
    """The page turned back by the angle at which most of its lines stand."""
    if not lines:
        return []
    angle = median(_angle(line) for line in lines)
    cos, sin = math.cos(angle), math.sin(angle)
    placed = []
    for line in lines:
        x, y = (sum(corner[axis] for corner in line.box) / 4 for axis in (0, 1))
        placed.append(_Placed(line, x * cos + y * sin, y * cos - x * sin, math.dist(line.box[0], line.box[3])))
    return placed


def _angle(line: Line) -> float:
    (left, top), (right, along) = line.box[0], line.box[1]
    return math.atan2(along - top, right - left)


def _rows(placed: Sequence[_Placed]) -> list[list[_Placed]]:
    """What stands side by side is one row: a detector parts a line at a wide space."""
    rows: list[list[_Placed]] = []
    for one in sorted(placed, key=lambda one: one.y):
        if rows and one.y - rows[-1][0].y < one.height / 2:
            rows[-1].append(one)
        else:
            rows.append([one])
    return [sorted(row, key=lambda one: one.x) for row in rows]
