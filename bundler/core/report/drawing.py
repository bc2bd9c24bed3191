"""The start of a check, drawn: processes as bars, loads as diamonds, attempts as crosses, over an axis of seconds.

Each has a row of its own, its words as text of the page and its shape below them, so that words wrap, rows break over
sheets of paper, and who does not see the shapes misses nothing. Places along the axis are percentages: drawings follow
the width of the page. Kinds differ by their shape and by words, not by colour alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bundler.core.egress import Attempt
from bundler.core.report.markup import Markup, el, joined
from bundler.core.timeline import FileLoad, Timeline

BAR, DIAMOND, CROSS, RING = "bar", "diamond", "cross", "ring"
_SHAPES = {
    DIAMOND: "M0 -6 L6 0 L0 6 L-6 0 Z",
    CROSS: "M-5 -5 L5 5 M-5 5 L5 -5",
    RING: "M-5 0 A5 5 0 1 0 5 0 A5 5 0 1 0 -5 0 Z",
}
_LANE, _AXIS = 16, 20
_MOST_ROWS = {BAR: 24, DIAMOND: 24, CROSS: 24, RING: 12}


@dataclass(frozen=True)
class _Row:
    shape: str
    label: str
    first_s: float
    last_s: float


def drawing(name: str, timeline: Timeline, attempts: Sequence[Attempt], allowed: Sequence[Attempt]) -> Markup:
    """One run of the check ``name``: the axis, and a row for each process, file and attempt."""
    rows, left_out = _rows(timeline, attempts, allowed)
    end = max([timeline.seconds, *(row.last_s for row in rows), 0.001])
    step = _step(end)
    described = (
        f"{len(timeline.processes)} processes, {len(timeline.loads)} model files and {len(attempts)} attempts to call "
        f"out over {timeline.seconds:.2f} seconds; each is told below with its times."
    )
    axis = el(
        "svg",
        el("title", f"The start of check {name}, in seconds"),
        el("desc", described),
        *(_tick(value, end, step) for value in _ticks(end, step)),
        role="img",
        width="100%",
        height=str(_AXIS),
        class_="axis",
    )
    lanes = el("ol", *(_drawn(row, end, step) for row in rows), class_="lanes")
    return joined(axis, lanes, el("p", left_out, class_="note") if left_out else "")


def legend() -> Markup:
    """What the shapes mean."""
    bar = el("rect", x="1", y="4", width="14", height="8", class_="bar")
    words = {
        DIAMOND: "a model's file opened or mapped",
        CROSS: "an attempt to call out",
        RING: "a call to an allowed peer",
    }
    signs = [(bar, "a process"), *((el("path", d=_SHAPES[shape], class_=shape), told) for shape, told in words.items())]
    items = []
    for drawn, told in signs:
        box = "0 0 16 16" if drawn is bar else "-8 -8 16 16"
        items.append(el("li", el("svg", drawn, viewBox=box, aria_hidden="true"), told))
    return el("ul", *items, class_="legend")


def _rows(timeline: Timeline, attempts: Sequence[Attempt], allowed: Sequence[Attempt]) -> tuple[list[_Row], str]:
    rows: list[_Row] = []
    unshown = timeline.unkept
    for kind in (list(_process_rows(timeline)), list(_load_rows(timeline)), *_attempt_rows(attempts, allowed)):
        most = _MOST_ROWS[kind[0].shape] if kind else 0
        rows += kind[:most]
        unshown += len(kind) - len(kind[:most])
    return rows, f"{unshown} more processes, files or attempts are not drawn." if unshown else ""


def _process_rows(timeline: Timeline) -> Iterator[_Row]:
    for process in timeline.processes:
        label = f"process {process.pid}: {process.command or 'ended before its command could be read'}"
        yield _Row(BAR, label, process.first_s, process.last_s)


def _load_rows(timeline: Timeline) -> Iterator[_Row]:
    for load in timeline.loads:
        yield _Row(DIAMOND, f"{_verb(load)} by process {load.pid}: {load.path}", load.first_s, load.last_s)


def _verb(load: FileLoad) -> str:
    return "opened" if load.hold == "open" else "mapped"


def _attempt_rows(attempts: Sequence[Attempt], allowed: Sequence[Attempt]) -> tuple[list[_Row], list[_Row]]:
    tried = [_Row(CROSS, f"tried: {_target(item)}", item.after_s, item.after_s) for item in attempts]
    may = [_Row(RING, f"allowed: {_target(item)}", item.after_s, item.after_s) for item in allowed]
    return tried, may


def _target(attempt: Attempt) -> str:
    if attempt.name is not None:
        return f"{attempt.protocol}, asked for {attempt.name}"
    return f"{attempt.protocol} to {attempt.address}" + ("" if attempt.port is None else f" port {attempt.port}")


def _ticks(end: float, step: float) -> list[float]:
    return [number * step for number in range(math.floor(end / step + 1e-9) + 1)]


def _step(end: float) -> float:
    """A round step that gives four to ten ticks."""
    size = 10.0 ** math.floor(math.log10(end / 4))
    return next(size * factor for factor in (1, 2, 2.5, 5, 10) if end / (size * factor) <= 6 or factor == 10)


def _tick(value: float, end: float, step: float) -> Markup:
    digits = max(0, -math.floor(math.log10(step) + 1e-9)) + (1 if f"{step:e}".startswith("2.5") else 0)
    place = _percent(value, end)
    anchor = "start" if value == 0 else "end" if value / end > 0.95 else "middle"
    return el("text", f"{value:.{digits}f} s", x=place, y="14", text_anchor=anchor)


def _percent(value: float, end: float) -> str:
    return f"{min(max(value / end, 0.0), 1.0) * 100:.3f}%"


def _drawn(row: _Row, end: float, step: float) -> Markup:
    words = el("span", el("span", f"{_told_span(row)}: ", class_="when"), row.label)
    grid = (_line(_percent(value, end), _percent(value, end), 0, _LANE, "grid") for value in _ticks(end, step))
    parts = _bar(row, end) if row.shape == BAR else _mark(row, end)
    lane = el("svg", *grid, *parts, width="100%", height=str(_LANE), aria_hidden="true", class_="lane")
    return el("li", words, lane)


def _bar(row: _Row, end: float) -> Iterator[Markup]:
    begin, width = _percent(row.first_s, end), _percent(row.last_s - row.first_s, end)
    yield el("rect", x=begin, y="3", width=width, height="10", class_="bar")
    yield _line(begin, begin, 1, _LANE - 1, "begin")


def _mark(row: _Row, end: float) -> Iterator[Markup]:
    middle, begin = _LANE // 2, _percent(row.first_s, end)
    if row.last_s > row.first_s:
        yield _line(begin, _percent(row.last_s, end), middle, middle, "held")
    shape = el("path", d=_SHAPES[row.shape], class_=row.shape)
    yield el("svg", shape, x=begin, y=str(middle), overflow="visible")


def _line(x1: str, x2: str, y1: int, y2: int, style: str) -> Markup:
    return el("line", x1=x1, x2=x2, y1=str(y1), y2=str(y2), class_=style)


def _told_span(row: _Row) -> str:
    return f"{row.first_s:.2f} to {row.last_s:.2f} s" if row.last_s > row.first_s else f"{row.first_s:.2f} s"
