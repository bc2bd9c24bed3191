"""Proof that the models of this image load and answer, every byte of them compared with the lock.

    python -m backend.selfcheck

Prints a line for each model and ends with 0, or names what is wrong and ends with 1.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
from yomitoku import TextRecognizer
from yomitoku.table_semantic_parser import CellDetector

from backend.errors import ServiceError, run
from backend.model_files import ModelsLock
from backend.services.embedding import sarashina
from backend.services.ocr import yomitoku
from backend.services.reranker import llama_nv
from backend.settings import Settings
from backend.stack import Stack, load_stack
from backend.yomitoku_models import CELLS, RECOGNIZER_LITE, OcrModelError

_QUERY = "テスト"
_TEXTS = ("ドキュメント1", "ドキュメント2")


def main() -> int:
    """Load everything and ask each once."""
    settings = Settings.from_environment()
    lock = ModelsLock.read(settings.lock)
    sarashina.require_loadable(settings.sarashina_dir, lock.named("sarashina"), thorough=True)
    llama_nv.require_loadable(settings.reranker_dir, lock.named("reranker"), thorough=True)
    yomitoku.require_loadable(settings.yomitoku_dir, lock, thorough=True)
    stack = asyncio.run(load_stack(settings))
    for each in stack.loaded:
        print(f"loaded {each.model} from {each.path} in {each.seconds:.2f} s")
    _ask(stack)
    _find_by_name(settings.yomitoku_dir)
    print(f"all models loaded in {stack.seconds:.1f} s and answer")
    return 0


def _ask(stack: Stack) -> None:
    """Raise ServiceError where an answer has not the form that it must have."""
    vectors = stack.embedding.embed_all([_QUERY, *_TEXTS])
    print(f"embedding: {len(vectors)} vectors of {stack.embedding.dimension} numbers")
    if not np.isfinite(vectors).all() or np.allclose(vectors[0], vectors[1]):
        raise ServiceError("the embedding model makes vectors that are not finite, or the same of different texts")
    ranked = asyncio.run(stack.reranking.rerank_simple(query=_QUERY, texts=_TEXTS, top_k=2))
    print(f"reranker: {len(ranked)} results, the best {ranked[0].text!r} with {ranked[0].score:.3f}")
    if not np.isfinite([each.score for each in ranked]).all():
        raise ServiceError("the reranker gives scores that are not finite")
    page = stack.ocr.read(np.full((64, 64, 3), 255, dtype=np.uint8))
    print(f"ocr: {len(page.words)} words on an empty page")


def _find_by_name(cache: Path) -> None:
    """Load the models that the service has not loaded, as the library does by itself: by name, from its own cache.

    Raises OcrModelError where it does not find one there.
    """
    for part, model in ((TextRecognizer, RECOGNIZER_LITE), (CellDetector, CELLS)):
        try:
            part(model.name, device="cpu")
        except Exception as error:
            raise OcrModelError(cache, f"the library does not find {model.repo} by its name: {error}") from error
        print(f"ocr: {model.repo} is found by its name")


if __name__ == "__main__":
    run(main)
