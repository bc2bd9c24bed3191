"""The search: every paragraph of the texts as a vector, the nearest ones to a question.

python -m service.search "Who painted sunflowers?"
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from service.bert import Floats
from service.embedder import Embedder
from service.errors import ServiceError, run
from service.settings import Settings


@dataclass(frozen=True)
class Passage:
    """A paragraph, and the name of the file that it stands in."""

    source: str
    text: str


@dataclass(frozen=True)
class Hit:
    """A passage that was found; ``score`` is the cosine, 1 for the same meaning."""

    passage: Passage
    score: float


@dataclass(frozen=True)
class SearchIndex:
    """Passages with their vectors."""

    embedder: Embedder
    passages: Sequence[Passage]
    vectors: Floats

    @classmethod
    def build(cls, embedder: Embedder, texts_dir: Path) -> SearchIndex:
        """Read and embed all ``*.txt`` files of a folder. Raises ServiceError if there is nothing to search."""
        passages = read_passages(texts_dir)
        return cls(embedder, passages, embedder.embed([passage.text for passage in passages]))

    @classmethod
    def open(cls, settings: Settings) -> SearchIndex:
        """Load the model and index the texts that the settings name."""
        return cls.build(Embedder.load(settings.model_dir), settings.texts_dir)

    def search(self, query: str, top_k: int = 3) -> list[Hit]:
        """The ``top_k`` nearest passages, the best first."""
        scores = self.vectors @ self.embedder.embed([query])[0]
        best = (-scores).argsort(kind="stable")[:top_k]
        return [Hit(self.passages[number], float(scores[number])) for number in best]


def read_passages(texts_dir: Path) -> list[Passage]:
    """The paragraphs (parted by empty lines) of all texts, by file name. Raises ServiceError if there are none."""
    passages = []
    for path in sorted(texts_dir.glob("*.txt")):
        paragraphs = path.read_text("utf-8").split("\n\n")
        passages += [Passage(path.name, " ".join(paragraph.split())) for paragraph in paragraphs if paragraph.strip()]
    if not passages:
        raise ServiceError(f"no texts (*.txt) in {texts_dir}; mount a folder there or set TEXTS_DIR")
    return passages


def main() -> int:
    """Answer one question on the command line."""
    parser = argparse.ArgumentParser(prog="service.search", description="Find the passages nearest to a question.")
    parser.add_argument("query")
    parser.add_argument("--top-k", type=int, default=3)
    arguments = parser.parse_args()
    for hit in SearchIndex.open(Settings.from_environment()).search(arguments.query, arguments.top_k):
        print(f"{hit.score:.3f}  {hit.passage.source}  {hit.passage.text}")
    return 0


if __name__ == "__main__":
    run(main)
