"""Tables and figures of the pages that are read here: they are written, since the tiny layout models see none.

A line with ``|`` is a row of a table, and lines below each other are rows of one; an empty cell belongs to the one before
it. A line that begins with ``#`` stands in a figure, and so does the next such line. All other lines are paragraphs.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

from yomitoku.models import CELL_WIDTH
from yomitoku.schemas import (
    Box,
    FigureSchema,
    ParagraphSchema,
    TableCellSchema,
    TableLineSchema,
    TableStructureRecognizerSchema,
    WordPrediction,
)

Elements = tuple[list[ParagraphSchema], list[TableStructureRecognizerSchema], list[FigureSchema]]


def arrange(words: Iterable[WordPrediction]) -> Elements:
    """Paragraphs, tables and figures; their ``order`` counts through all three. What is in one is in no other."""
    paragraphs: list[ParagraphSchema] = []
    tables: list[TableStructureRecognizerSchema] = []
    figures: list[FigureSchema] = []
    for kind, lines in groupby(words, key=_kind):
        order = len(paragraphs) + len(tables) + len(figures)
        found = list(lines)
        if kind == "table":
            tables.append(_table(found, order))
        elif kind == "figure":
            figures.append(_figure(found, order))
        else:
            paragraphs += [_paragraph(word, order + number) for number, word in enumerate(found)]
    return paragraphs, tables, figures


def _kind(word: WordPrediction) -> str:
    return "table" if "|" in word.content else "figure" if word.content.startswith("#") else "paragraphs"


def _paragraph(word: WordPrediction, order: int) -> ParagraphSchema:
    return ParagraphSchema(box=_box(word), contents=word.content, direction=word.direction, order=order, role=None)


def _figure(words: list[WordPrediction], order: int) -> FigureSchema:
    paragraphs = [_paragraph(word, number) for number, word in enumerate(words)]
    return FigureSchema(box=_around(map(_box, words)), order=order, paragraphs=paragraphs, direction="horizontal")


def _table(words: list[WordPrediction], order: int) -> TableStructureRecognizerSchema:
    cells = [cell for row, word in enumerate(words, 1) for cell in _cells(word, row)]
    columns = max(cell.col + cell.col_span - 1 for cell in cells)
    of_column = [[cell.box for cell in cells if cell.col == column] for column in range(1, columns + 1)]
    return TableStructureRecognizerSchema(
        box=_around(map(_box, words)),
        n_row=len(words),
        n_col=columns,
        rows=[TableLineSchema(box=_box(word), score=1) for word in words],
        cols=[TableLineSchema(box=_around(boxes), score=1) for boxes in of_column if boxes],
        spans=[TableLineSchema(box=cell.box, score=1) for cell in cells if cell.col_span > 1],
        cells=cells,
        order=order,
    )


def _cells(word: WordPrediction, row: int) -> list[TableCellSchema]:
    left, top, _, bottom = _box(word)
    cells: list[TableCellSchema] = []
    for column, text in enumerate(word.content.split("|"), 1):
        right = left + CELL_WIDTH * len(text)
        if cells and not text:
            cells[-1].col_span += 1
        else:
            cells.append(
                TableCellSchema(
                    col=column,
                    row=row,
                    col_span=1,
                    row_span=1,
                    box=[left, top, right, bottom],
                    contents=text.strip(),
                )
            )
        left = right + CELL_WIDTH
    return cells


def _box(word: WordPrediction) -> Box:
    return [*word.points[0], *word.points[2]]


def _around(boxes: Iterable[Box]) -> Box:
    lefts, tops, rights, bottoms = zip(*boxes, strict=True)
    return [min(lefts), min(tops), max(rights), max(bottoms)]
