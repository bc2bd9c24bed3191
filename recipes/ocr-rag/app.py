"""The service over HTTP: ``/ocr``, ``/embed``, ``/rerank``, ``/search``, ``/health``; ``/openapi.json`` describes them.

    uvicorn app:app --host 0.0.0.0 --port 8000

The start loads all models from the image. One that is missing or not whole ends it with a message that names the directory;
nothing is ever downloaded (POLICY.md). There is no page of documentation: its scripts would come from elsewhere.
"""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from fastapi import Depends, FastAPI, HTTPException, Request, UploadFile
from fastapi.exceptions import RequestValidationError

from backend.api import types
from backend.api.admission import Admission
from backend.api.limits import BodyLimit
from backend.api.page import answer
from backend.api.refusals import tell_where
from backend.api.start import LoadAtStart
from backend.loading import device, precision
from backend.services.embedding.sarashina import Vectors
from backend.services.ocr.pictures import NotAPageError
from backend.settings import Settings
from backend.stack import Stack, load_stack

_REFUSED: dict[int | str, dict[str, Any]] = {
    413: {"model": types.Problem, "description": "Too large."},
    503: {"model": types.Problem, "description": "Too many ask at once; Retry-After says when to come again."},
}

app = FastAPI(title="ocr-rag", docs_url=None, redoc_url=None, responses=_REFUSED)
app.add_exception_handler(RequestValidationError, tell_where)
app.add_middleware(BodyLimit)
app.add_middleware(Admission)
app.add_middleware(LoadAtStart, load=lambda: load_stack(Settings.from_environment()))


# Async, as health is: neither needs one of the threads in which others wait for a model.
async def loaded_stack(request: Request) -> Stack:
    """The models; the server takes no request before they are there."""
    stack: Stack = request.app.state.stack
    return stack


Models = Annotated[Stack, Depends(loaded_stack)]


@app.get("/health")
async def health(stack: Models) -> types.HealthAnswer:
    """Which models are loaded, of which commits, and how long that took."""
    where = device()
    return types.HealthAnswer(
        status="ready",
        device=where.type,
        precision=str(precision(where)).removeprefix("torch."),
        seconds=stack.seconds,
        models=[
            types.LoadedModel(name=each.name, model=each.model, path=each.path, seconds=each.seconds)
            for each in stack.loaded
        ],
    )


@app.post("/ocr", responses={415: {"model": types.Problem, "description": "Not a picture that can be read."}})
def ocr(stack: Models, file: UploadFile) -> types.OcrAnswer:
    """Read a page: an image file of one page (PNG, JPEG, TIFF, WebP, BMP) as the part ``file`` of a form."""
    try:
        page, width, height = stack.ocr.read_file(file.file.read())
    except NotAPageError as error:
        raise HTTPException(413 if error.too_large else 415, str(error)) from error
    return answer(page, width, height)


@app.post("/embed")
def embed(stack: Models, asked: types.EmbedRequest) -> types.EmbedAnswer:
    """Vectors of texts, for a vector store."""
    vectors = _of_length_one(stack.embedding.embed_all(asked.texts))
    return types.EmbedAnswer(
        model=stack.embedding.loaded.model, dimension=stack.embedding.dimension, vectors=vectors.tolist()
    )


@app.post("/rerank")
def rerank(stack: Models, asked: types.RerankRequest) -> types.RerankAnswer:
    """Texts in the order of how well they answer."""
    ranked = stack.reranking.rerank(asked.query, asked.texts, asked.top_k)
    results = [types.Ranked(index=each.index, text=each.text, score=each.score) for each in ranked]
    return types.RerankAnswer(model=stack.reranking.reranker.loaded.model, results=results)


@app.post("/search")
def search(stack: Models, asked: types.SearchRequest) -> types.SearchAnswer:
    """The texts that answer best: the nearest by their vectors, put in order by the reranker."""
    query, *texts = _of_length_one(stack.embedding.embed_all([asked.query, *asked.texts]))
    similarities = [float(text @ query) for text in texts]
    nearest = sorted(range(len(texts)), key=lambda number: -similarities[number])[: asked.candidates]
    ranked = stack.reranking.rerank(asked.query, [asked.texts[number] for number in nearest], asked.top_k)
    return types.SearchAnswer(
        results=[
            types.Found(
                index=nearest[each.index],
                text=each.text,
                score=each.score,
                similarity=similarities[nearest[each.index]],
            )
            for each in ranked
        ]
    )


def _of_length_one(vectors: Vectors) -> Vectors:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
