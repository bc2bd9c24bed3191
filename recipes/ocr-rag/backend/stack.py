"""All models of the service, loaded side by side."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from backend.loading import Loaded
from backend.model_files import ModelsLock, read_ahead
from backend.services.embedding.sarashina import SarashinaEmbedding
from backend.services.ocr.yomitoku import YomitokuOcr
from backend.services.reranker.service import RerankingService, get_reranking_service
from backend.settings import Settings


@dataclass(frozen=True)
class Stack:
    """The three services, and the seconds from the first look at a file until all answered."""

    embedding: SarashinaEmbedding
    reranking: RerankingService
    ocr: YomitokuOcr
    seconds: float

    @property
    def loaded(self) -> tuple[Loaded, ...]:
        """What was loaded."""
        return (self.embedding.loaded, self.reranking.reranker.loaded, *self.ocr.loaded)


async def load_stack(settings: Settings) -> Stack:
    """Load everything; files are read and compared side by side. Raises ServiceError for the first that is not whole."""
    begun = time.monotonic()
    lock = ModelsLock.read(settings.lock)
    places = (settings.sarashina_dir, settings.reranker_dir, settings.yomitoku_dir)
    ahead = [asyncio.to_thread(read_ahead, place) for place in places]
    embedding, reranking, ocr, *_ = await asyncio.gather(
        asyncio.to_thread(SarashinaEmbedding.load, settings.sarashina_dir, lock.named("sarashina")),
        get_reranking_service(),
        asyncio.to_thread(YomitokuOcr.load, settings.yomitoku_dir, lock, lite=settings.ocr_lite),
        *ahead,
    )
    return Stack(embedding, reranking, ocr, round(time.monotonic() - begun, 3))
