"""The start of a check, drawn: processes as bars, loads as diamonds, attempts as crosses, over an axis of seconds.

Places along the axis are percentages, so that the drawing follows the width of the page while its text keeps its size.
Kinds differ by their shape and by words, not by colour alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bundler.core.egress import Attempt
from bundler.core.report.markup import Markup, el, joined, safe
from bundler.core.timeline import FileLoad, Timeline

BAR, DIAMOND, CROSS, RING = "bar", "diamond", "cross", "ring"
_SHAPES = {
    DIAMOND: "M0 -6 L6 0 L0 6 L-6 0 Z",
    CROSS: "M-5 -5 L5 5 M-5 5 L5 -5",
    RING: "M-5 0 A5 5 0 1 0 5 0 A5 5 0 1 0 -5 0 Z",
}
_ROW, _AXIS, _LETTERS = 34, 26, 44
_MOST_ROWS = {BAR: 24, DIAMOND: 24, CROSS: 24, RING: 12}


@dataclass(frozen=True)
class _Row:
    shape: str
    label: str
    first_s: float
    last_s: float


def drawing(name: str, timeline: Timeline, attempts: Sequence[Attempt], allowed: Sequence[Attempt]) -> Markup:
    """An SVG of one run of the check ``name``, and the labels that were too long for it."""
    rows, left_out = _rows(timeline, attempts, allowed)
    end = max([timeline.seconds, *(row.last_s for row in rows), 0.001])
    height = _AXIS + _ROW * len(rows) + 4
    title = f"The start of check {name}"
    described = (
        f"{len(timeline.processes)} processes, {len(timeline.loads)} model files and {len(attempts)} attempts to call out "
        f"over {timeline.seconds:.2f} seconds; each stands in a row with its time."
    )
    picture = el(
        "svg",
        el("title", title),
        el("desc", described),
        _axis(end, height),
        *(_drawn(row, _AXIS + _ROW * number, end) for number, row in enumerate(rows)),
        role="img",
        width="100%",
        height=str(height),
        class_="start",
    )
    return joined(picture, _long_labels(rows), el("p", left_out, class_="note") if left_out else "")


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


def _axis(end: float, height: int) -> Markup:
    step = _step(end)
    ticks = [number * step for number in range(math.floor(end / step + 1e-9) + 1)]
    drawn = [_tick(value, _percent(value, end), height, step) for value in ticks]
    return el("g", *drawn, class_="axis")


def _step(end: float) -> float:
    """A round step that gives four to ten ticks."""
    size = 10.0 ** math.floor(math.log10(end / 4))
    return next(size * factor for factor in (1, 2, 2.5, 5, 10) if end / (size * factor) <= 6 or factor == 10)


def _tick(value: float, place: str, height: int, step: float) -> Markup:
    digits = max(0, -math.floor(math.log10(step) + 1e-9)) + (1 if f"{step:e}".startswith("2.5") else 0)
    near_end = float(place.rstrip("%")) > 95
    anchor = "start" if value == 0 else "end" if near_end else "middle"
    line = el("line", x1=place, x2=place, y1="16", y2=str(height))
    return joined(line, el("text", f"{value:.{digits}f} s", x=place, y="11", text_anchor=anchor))


def _percent(value: float, end: float) -> str:
    return f"{min(max(value / end, 0.0), 1.0) * 100:.3f}%"


def _drawn(row: _Row, top: int, end: float) -> Markup:
    place, width = _percent(row.first_s, end), _percent(row.last_s - row.first_s, end)
    middle = top + 24
    parts = [el("title", f"{row.label}, {_told_span(row)}")]
    if row.shape == BAR:
        parts.append(el("rect", x=place, y=str(middle - 5), width=width, height="10", class_="bar"))
        parts.append(el("line", x1=place, x2=place, y1=str(middle - 7), y2=str(middle + 7), class_="begin"))
    else:
        if row.last_s > row.first_s:
            line = {"x1": place, "x2": _percent(row.last_s, end), "y1": str(middle), "y2": str(middle)}
            parts.append(el("line", **line, class_="held"))
        mark = el("path", d=_SHAPES[row.shape], class_=row.shape)
        parts.append(el("svg", mark, x=place, y=str(middle), overflow="visible"))
    when = el("tspan", f"{_told_span(row)}: ", class_="when")
    parts.append(el("text", when, _short(row.label), x="0", y=str(top + 12)))
    return el("g", *parts)


def _told_span(row: _Row) -> str:
    return f"{row.first_s:.2f} to {row.last_s:.2f} s" if row.last_s > row.first_s else f"{row.first_s:.2f} s"


def _short(label: str) -> str:
    flat = safe(label)
    return flat if len(flat) <= _LETTERS else f"{flat[: _LETTERS - 20]} … {flat[-17:]}"


def _long_labels(rows: Sequence[_Row]) -> Markup:
    long = [row.label for row in rows if len(safe(row.label)) > _LETTERS]
    if not long:
        return joined()
    items = (el("li", el("code", label)) for label in long)
    return joined(el("p", "In full:", class_="note"), el("ul", *items, class_="full"))
