"""Pages and hits as the web service tells them: JSON with plain names."""

from __future__ import annotations

from typing import Any

from service.library import Page
from service.search import Hit


def summary(page: Page) -> dict[str, Any]:
    """A page without its lines, and how far it is read."""
    width, height = page.picture.size
    return {
        "id": page.id,
        "name": page.name,
        "state": page.state,
        "done": page.done,
        "found": page.found,
        "width": width,
        "height": height,
    }


def page_answer(page: Page) -> dict[str, Any]:
    """A page with its lines in reading order; boxes are four corners in pixels from the top left."""
    lines = [{"text": line.text, "score": round(line.score, 3), "box": line.box} for line in page.lines]
    return {**summary(page), "lines": lines, "ocr_s": round(page.ocr_s, 3), "embed_s": round(page.embed_s, 3)}


def hit_answer(hit: Hit, page: Page) -> dict[str, Any]:
    """A place on a page: the lines of the passage with their scores, and which of them answers best."""
    lines = [
        {"text": line.text, "score": round(score, 4), "box": line.box}
        for line, score in zip(hit.passage.lines, hit.line_scores, strict=True)
    ]
    return {
        "page": page.id,
        "name": page.name,
        "text": hit.passage.text,
        "score": round(hit.score, 4),
        "cosine": round(hit.cosine, 4),
        "lines": lines,
        "best_line": hit.best_line,
    }
