"""Tables of the page: with real headers, and rows that stack where the page is narrow."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bundler.core.report.markup import Content, Markup, el, joined

#: As many rows stay together on paper.
_SHORT = 6


@dataclass(frozen=True)
class Column:
    """A column by its name; ``number``: its cells are flushed right."""

    name: str
    number: bool = False

    @property
    def style(self) -> dict[str, str]:
        """The attributes of its cells."""
        return {"class_": "number"} if self.number else {}


def table(caption: str, columns: Sequence[Column], rows: Iterable[Sequence[Content]]) -> Markup:
    """A table whose first cells name their rows. Its parts have their roles by name: stacked, browsers forget them."""
    body = [el("tr", *_cells(columns, row), role="row") for row in rows]
    heads = (el("th", column.name, scope="col", role="columnheader", **column.style) for column in columns)
    return el(
        "table",
        el("caption", caption) if caption else joined(),
        el("thead", el("tr", *heads, role="row"), role="rowgroup"),
        el("tbody", *body, role="rowgroup"),
        role="table",
        class_="short" if len(body) <= _SHORT else "long",
    )


def _cells(columns: Sequence[Column], row: Sequence[Content]) -> Iterable[Markup]:
    yield el("th", row[0], scope="row", role="rowheader")
    for column, cell in zip(columns[1:], row[1:]):
        yield el("td", cell, role="cell", data_label=column.name, **column.style)
