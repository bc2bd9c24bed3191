"""A question to places on pages: the nearest passages by one vector each, put in order by all of their tokens.

The second step is late interaction (Khattab and Zaharia, 2020, "ColBERT"): each token of the question looks for the
token of the passage that is most like it, and the mean of those likenesses is the score. The same within each line of the
passage says which line answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from service.bert import Floats
from service.embedder import Embedded, Embedder
from service.reader import Line

#: Passages that the first step hands to the second.
CANDIDATES = 20
#: Digits after the point that count: float32 gives the same text other last ones in another row.
_SAME = 6


@dataclass(frozen=True)
class Passage:
    """Lines that belong together, and the page that they stand on."""

    page: str
    lines: tuple[Line, ...]
    embedded: Embedded

    @property
    def text(self) -> str:
        """The lines as one text."""
        return text_of(self.lines)


@dataclass(frozen=True)
class Hit:
    """A passage that was found. Scores are 1 for the same meaning; ``line_scores`` are one a line of the passage."""

    passage: Passage
    score: float
    cosine: float
    line_scores: tuple[float, ...]

    @property
    def best_line(self) -> int:
        """The number of the line that answers best, from 0."""
        return int(np.argmax(self.line_scores))


def text_of(lines: Sequence[Line]) -> str:
    """The lines as one text, as it is embedded."""
    return " ".join(line.text for line in lines)


def nearest(passages: Sequence[Passage], question: Embedded, count: int) -> list[tuple[Passage, float]]:
    """The first step: ``count`` passages with their cosines, the best first; equal ones stay in their order."""
    if not passages:
        return []
    cosines = np.stack([passage.embedded.vector for passage in passages]) @ question.vector
    best = (-cosines.round(_SAME)).argsort(kind="stable")[:count]
    return [(passages[number], float(cosines[number])) for number in best]


def rerank(found: Sequence[tuple[Passage, float]], question: Embedded) -> list[Hit]:
    """The second step: the same passages by late interaction, the best first; equal ones stay in their order."""
    hits = [_hit(passage, cosine, question) for passage, cosine in found]
    return sorted(hits, key=lambda hit: -round(hit.score, _SAME))


def search(passages: Sequence[Passage], embedder: Embedder, question: str, top_k: int = 3) -> list[Hit]:
    """Both steps; the ``top_k`` best passages."""
    (embedded,) = embedder.encode([question])
    return rerank(nearest(passages, embedded, max(top_k, CANDIDATES)), embedded)[:top_k]


def maxsim(likeness: Floats) -> float:
    """The mean, over the question's tokens (rows), of the most alike token of the passage (columns); 0 where there is none."""
    return float(likeness.max(axis=1).mean()) if likeness.size else 0.0


def _hit(passage: Passage, cosine: float, question: Embedded) -> Hit:
    likeness = question.tokens @ passage.embedded.tokens.T
    lines = _line_of_tokens(passage)
    by_line = tuple(maxsim(likeness[:, lines == number]) for number in range(len(passage.lines)))
    return Hit(passage, maxsim(likeness), cosine, by_line)


def _line_of_tokens(passage: Passage) -> np.ndarray:
    """The number of the line for each token of the passage."""
    ends = np.cumsum([len(line.text) + 1 for line in passage.lines])
    return np.searchsorted(ends, [start for start, _ in passage.embedded.spans], side="right")
