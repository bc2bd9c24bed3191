"""What the classes answer with: the fields that the library has."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

Box = list[int]
Points = list[list[int]]


class _Schema(BaseModel):
    model_config = ConfigDict(extra="forbid")


class TextDetectorSchema(_Schema):
    """Quadrilaterals, clockwise from the upper left, in pixels."""

    points: list[Points]
    scores: list[float]


class TextRecognizerSchema(_Schema):
    """A text for each quadrilateral."""

    contents: list[str]
    directions: list[str]
    scores: list[float]
    points: list[Points]


class WordPrediction(_Schema):
    """A piece of text and where it stands."""

    points: Points
    content: str
    direction: str
    rec_score: float
    det_score: float


class OCRSchema(_Schema):
    """All pieces of a page."""

    words: list[WordPrediction]


class Element(_Schema):
    """Part of a page's layout."""

    id: str | None
    box: Box
    score: float
    role: str | None
    contents: str | None


class LayoutParserSchema(_Schema):
    """A page's layout."""

    paragraphs: list[Element]
    tables: list[Element]
    figures: list[Element]


class ParagraphSchema(_Schema):
    """Text that belongs together."""

    box: Box
    contents: str | None
    direction: str | None
    order: int | None
    role: str | None


class TableCellSchema(_Schema):
    """A cell; rows and columns count from 1."""

    col: int
    row: int
    col_span: int
    row_span: int
    box: Box
    contents: str | None


class TableLineSchema(_Schema):
    """A row, a column, or a cell over several."""

    box: Box
    score: float


class TableStructureRecognizerSchema(_Schema):
    """A table."""

    box: Box
    n_row: int
    n_col: int
    rows: list[TableLineSchema]
    cols: list[TableLineSchema]
    spans: list[TableLineSchema]
    cells: list[TableCellSchema]
    order: int


class FigureSchema(_Schema):
    """A figure, and the text in it."""

    box: Box
    order: int | None
    paragraphs: list[ParagraphSchema]
    direction: str | None


class LayoutAnalyzerSchema(_Schema):
    """A page's layout with its tables' cells."""

    paragraphs: list[Element]
    tables: list[TableStructureRecognizerSchema]
    figures: list[Element]


class DocumentAnalyzerSchema(_Schema):
    """All of a page, in the order of reading."""

    paragraphs: list[ParagraphSchema]
    tables: list[TableStructureRecognizerSchema]
    words: list[WordPrediction]
    figures: list[FigureSchema]
