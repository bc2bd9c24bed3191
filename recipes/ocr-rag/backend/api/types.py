"""What the endpoints take and give; OpenAPI is made from these."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

MOST_TEXTS = 256
LONGEST_TEXT = 32_768

Text = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_TEXT)]
Texts = Annotated[list[Text], Field(min_length=1, max_length=MOST_TEXTS)]
Best = Annotated[int, Field(ge=1, le=MOST_TEXTS, description="How many to answer with, the best first.")]


class Asked(BaseModel):
    """Unknown keys are refused: a misspelt one would be ignored in silence."""

    model_config = ConfigDict(extra="forbid", strict=True)


class EmbedRequest(Asked):
    """Texts to be embedded."""

    texts: Texts


class EmbedAnswer(BaseModel):
    """A vector for each text, in their order, of length 1."""

    model: str = Field(description="The repository and the commit.")
    dimension: int
    vectors: list[list[float]]


class RerankRequest(Asked):
    """A question, and texts that may answer it."""

    query: Text
    texts: Texts
    top_k: Best = 10


class Ranked(BaseModel):
    """A text and how well it answers."""

    index: int = Field(description="Its place among the texts of the request, from 0.")
    text: str
    score: float = Field(description="Any number: the higher, the better the text answers.")


class RerankAnswer(BaseModel):
    """The best texts first."""

    model: str
    results: list[Ranked]


class SearchRequest(Asked):
    """A question, and texts to be searched: embeddings choose the candidates, the reranker puts them in order."""

    query: Text
    texts: Texts
    top_k: Best = 5
    candidates: Annotated[int, Field(ge=1, le=MOST_TEXTS, description="How many the reranker looks at.")] = 50


class Found(Ranked):
    """A text that was found."""

    similarity: float = Field(description="Cosine between the question's vector and the text's.")


class SearchAnswer(BaseModel):
    """The best texts first."""

    results: list[Found]


class Word(BaseModel):
    """A piece of text on the page."""

    text: str
    points: list[list[int]] = Field(description="Its corners in pixels, clockwise from the upper left: [x, y].")
    direction: str
    score: float = Field(description="How sure the recogniser is, from 0 to 1.")


class Paragraph(BaseModel):
    """Text that belongs together, in the order of reading."""

    text: str
    box: list[int] = Field(description="Left, top, right, bottom in pixels.")
    role: str | None


class Cell(BaseModel):
    """A cell of a table."""

    row: int = Field(description="The first that it covers, from 1.")
    col: int = Field(description="The first that it covers, from 1.")
    row_span: int = Field(description="How many rows it covers.")
    col_span: int = Field(description="How many columns it covers.")
    contents: str
    box: list[int] = Field(description="Left, top, right, bottom in pixels.")


class Table(BaseModel):
    """A table. What stands in its cells is in no paragraph."""

    rows: int
    columns: int
    box: list[int] = Field(description="Left, top, right, bottom in pixels.")
    cells: list[Cell]


class Figure(BaseModel):
    """A figure. What is written in it is in no other paragraph."""

    box: list[int] = Field(description="Left, top, right, bottom in pixels.")
    paragraphs: list[Paragraph]


class OcrAnswer(BaseModel):
    """What stands on the page."""

    width: int
    height: int
    text: str = Field(
        description="All paragraphs, tables and texts in figures in the order of reading, an empty line between two. "
        "A row of a table is a line, with tabs between its cells."
    )
    paragraphs: list[Paragraph]
    tables: list[Table]
    figures: list[Figure]
    words: list[Word]


class LoadedModel(BaseModel):
    """A model that is in memory."""

    name: str
    model: str = Field(description="The repository and the commit, as the lock has them.")
    path: str
    seconds: float = Field(description="How long it took to make it from its files.")


class HealthAnswer(BaseModel):
    """The service answers: everything is loaded."""

    status: str = Field(examples=["ready"])
    device: str = Field(examples=["cuda", "cpu"])
    precision: str = Field(examples=["float16", "float32"])
    seconds: float = Field(description="From the first look at a file until all models answered.")
    models: list[LoadedModel]


class Problem(BaseModel):
    """Why a request is not answered."""

    detail: str
