"""What YomiToku found on a page, as the service answers it.

The library takes what stands in tables and figures out of the paragraphs; ``order`` counts through all three.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

from yomitoku.schemas import (
    DocumentAnalyzerSchema,
    FigureSchema,
    ParagraphSchema,
    TableCellSchema,
    TableStructureRecognizerSchema,
)

from backend.api import types


def answer(page: DocumentAnalyzerSchema, width: int, height: int) -> types.OcrAnswer:
    """All of it, with sizes in pixels."""
    return types.OcrAnswer(
        width=width,
        height=height,
        text=_text(page),
        paragraphs=_paragraphs(page.paragraphs),
        tables=[_table(each) for each in page.tables],
        figures=[types.Figure(box=each.box, paragraphs=_paragraphs(each.paragraphs)) for each in page.figures],
        words=[
            types.Word(text=each.content, points=each.points, direction=each.direction, score=each.rec_score)
            for each in page.words
        ],
    )


def _text(page: DocumentAnalyzerSchema) -> str:
    elements = sorted((*page.paragraphs, *page.tables, *page.figures), key=lambda each: each.order or 0)
    return "\n\n".join(text for text in map(_text_of, elements) if text)


def _text_of(element: ParagraphSchema | TableStructureRecognizerSchema | FigureSchema) -> str:
    if isinstance(element, TableStructureRecognizerSchema):
        rows = groupby(sorted(element.cells, key=lambda cell: (cell.row, cell.col)), key=lambda cell: cell.row)
        lines = ["\t".join(map(_on_one_line, cells)) for _, cells in rows]
        return "\n".join(lines) if any(map(str.strip, lines)) else ""
    if isinstance(element, FigureSchema):
        inside = sorted(element.paragraphs, key=lambda each: each.order or 0)
        return "\n\n".join(each.contents for each in inside if each.contents)
    return element.contents or ""


def _on_one_line(cell: TableCellSchema) -> str:
    return " ".join((cell.contents or "").split())


def _paragraphs(found: Iterable[ParagraphSchema]) -> list[types.Paragraph]:
    return [types.Paragraph(text=each.contents or "", box=each.box, role=each.role) for each in found]


def _table(found: TableStructureRecognizerSchema) -> types.Table:
    cells = [
        types.Cell(
            row=each.row,
            col=each.col,
            row_span=each.row_span,
            col_span=each.col_span,
            contents=each.contents or "",
            box=each.box,
        )
        for each in found.cells
    ]
    return types.Table(rows=found.n_row, columns=found.n_col, box=found.box, cells=cells)
