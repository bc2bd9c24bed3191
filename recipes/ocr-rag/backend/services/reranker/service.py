"""The reranker for asynchronous callers: loaded once in a process, and asked off the event loop.

    service = await get_reranking_service()
    best = await service.rerank_simple(query="…", texts=["…", "…"], top_k=2)

It is the model in the image or an error; there is no second way to one.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from backend.model_files import ModelsLock
from backend.services.reranker.llama_nv import LlamaNvReranker
from backend.settings import Settings


@dataclass(frozen=True)
class RankedText:
    """A text, its place among those that were given, and its score: any number, the higher the better."""

    index: int
    text: str
    score: float


@dataclass(frozen=True)
class RerankingService:
    """The loaded reranker; one question is answered at a time."""

    reranker: LlamaNvReranker
    turn: threading.Lock

    async def rerank_simple(self, query: str, texts: Sequence[str], top_k: int) -> list[RankedText]:
        """The ``top_k`` texts that answer best, the best first."""
        return await asyncio.to_thread(self.rerank, query, texts, top_k)

    def rerank(self, query: str, texts: Sequence[str], top_k: int) -> list[RankedText]:
        """The same, for callers that wait."""
        with self.turn:
            scores = self.reranker.score(query, texts)
        ranked = [
            RankedText(number, text, score) for number, (text, score) in enumerate(zip(texts, scores, strict=True))
        ]
        return sorted(ranked, key=lambda each: -each.score)[:top_k]


_loading = threading.Lock()


async def get_reranking_service() -> RerankingService:
    """The service of this process, loaded by the first who asks. Raises ModelError where the model is not whole."""
    return await asyncio.to_thread(_service)


def _service() -> RerankingService:
    with _loading:  # a cache alone would let two that ask at once load twice
        return _load()


@cache
def _load() -> RerankingService:
    settings = Settings.from_environment()
    locked = ModelsLock.read(settings.lock).named("reranker")
    return RerankingService(LlamaNvReranker.load(settings.reranker_dir, locked), threading.Lock())
