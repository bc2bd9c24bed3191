"""Many loads in one process, which imports torch once: python -m tests.support.ocr_rag_cases < CASES > RESULTS.

A case is an object with ``do``, a function's name here, and its arguments. A result is an object with ``gave``, or with
``error`` and its ``kind`` where the load ended with the service's own error.
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from backend.errors import ServiceError
from backend.loading import precision
from backend.model_files import ModelsLock
from backend.services.embedding.sarashina import SarashinaEmbedding
from backend.services.ocr import yomitoku
from backend.services.ocr.pictures import decode
from backend.services.ocr.yomitoku import YomitokuOcr
from backend.services.reranker.llama_nv import LlamaNvReranker, prompt
from backend.services.reranker.service import get_reranking_service


def embed(directory: str, lock: str, batches: list[list[str]], side: str | None = None) -> Any:
    """Vectors by the service, with padding on a ``side`` other than the tokenizer's own."""
    service = SarashinaEmbedding.load(Path(directory), ModelsLock.read(Path(lock)).named("sarashina"))
    if side:
        service.model.tokenizer.padding_side = side
    return [service.embed(batch).tolist() for batch in batches]


def embed_unasked(directory: str, batches: list[list[str]]) -> Any:
    """Vectors by the library alone, which takes a directory as it is."""
    model = SentenceTransformer(directory, local_files_only=True)
    return [model.encode(batch, batch_size=len(batch)).tolist() for batch in batches]


def score(directory: str, lock: str, batches: list[list[tuple[str, str]]], side: str | None = None) -> Any:
    """Scores by the service, the same way."""
    service = LlamaNvReranker.load(Path(directory), ModelsLock.read(Path(lock)).named("reranker"))
    if side:
        service.tokenizer.padding_side = side
    return [service.score_pairs(batch) for batch in batches]


def score_unasked(directory: str, batches: list[list[tuple[str, str]]]) -> Any:
    """Scores by the library alone, without the service's look at the attention."""
    tokenizer = AutoTokenizer.from_pretrained(directory, local_files_only=True, trust_remote_code=True)
    model = AutoModelForSequenceClassification.from_pretrained(directory, local_files_only=True, trust_remote_code=True)
    service = LlamaNvReranker(model.float().eval(), tokenizer, None)
    return [service.score_pairs(batch) for batch in batches]


def rerank_simple(query: str, texts: list[str], top_k: int) -> Any:
    """By the asynchronous service, asked by two at once."""

    async def ask() -> Any:
        services = await asyncio.gather(get_reranking_service(), get_reranking_service())
        results = await services[0].rerank_simple(query=query, texts=texts, top_k=top_k)
        everything = services[0].reranker.score(query, texts)
        return {
            "same": services[0] is services[1],
            "results": [[each.index, each.text, each.score] for each in results],
            "scores": everything,
            "dtype": str(services[0].reranker.model.dtype),
        }

    return asyncio.run(ask())


def read(cache: str, lock: str, page: str, lite: bool = False) -> Any:
    """The lines of a page, and where the library had its models from."""
    service = YomitokuOcr.load(Path(cache), ModelsLock.read(Path(lock)), lite=lite)
    found = service.read(decode(base64.b64decode(page)))
    return {
        "lines": [word.content for word in found.words],
        "points": [word.points for word in found.words],
        "onnx": service.analyzer.ocr.detector.infer_onnx,
        "from": [each.path for each in service.loaded],
        "asked": service.analyzer.ocr.recognizer._cfg.hf_hub_repo,
        "again": [word.content for word in service.read(decode(base64.b64decode(page))).words],
    }


def at_once(directory: str, cache: str, lock: str, page: str) -> Any:
    """How many batches, and how many pictures, are in memory at once where eight ask together."""
    batches, pictures = Inside(), Inside()
    models = ModelsLock.read(Path(lock))
    embedding = SarashinaEmbedding.load(Path(directory), models.named("sarashina"))
    embedding.model.encode = batches.counting(embedding.model.encode)
    yomitoku.decode = pictures.counting(decode)
    ocr = YomitokuOcr.load(Path(cache), models)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(embedding.embed_all, [["a", "b"]] * 8))
        list(pool.map(ocr.read_file, [base64.b64decode(page)] * 8))
    return [batches.most, pictures.most]


class Inside:
    """Counts who is in a function at once; each stays a moment longer than it has to."""

    def __init__(self) -> None:
        self.now = self.most = 0

    def counting(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, counted."""

        def counted(*arguments: Any, **more: Any) -> Any:
            self.now += 1
            self.most = max(self.most, self.now)
            try:
                time.sleep(0.05)
                return function(*arguments, **more)
            finally:
                self.now -= 1

        return counted


def settled() -> Any:
    """What does not depend on a model."""
    return {
        "prompt": prompt("Q", "P"),
        "cpu": str(precision(torch.device("cpu"))),
        "cuda": str(precision(torch.device("cuda"))),
    }


def main() -> None:
    """Run the cases in turn."""
    results = []
    for case in json.load(sys.stdin):
        do = globals()[case.pop("do")]
        try:
            results.append({"gave": do(**case)})
        except ServiceError as error:
            results.append({"error": str(error), "kind": type(error).__name__})
    sys.__stdout__.write("\n" + json.dumps(results) + "\n")


if __name__ == "__main__":
    main()
