"""All that is on a page."""

from __future__ import annotations

from typing import Any

import numpy as np

from yomitoku.layout import LayoutAnalyzer
from yomitoku.schemas import DocumentAnalyzerSchema, OCRSchema, ParagraphSchema, WordPrediction
from yomitoku.text import TextDetector, TextRecognizer


class OCR:
    """Lines of text and what they say."""

    def __init__(self, configs: dict[str, dict[str, Any]], device: str = "cuda", visualize: bool = False) -> None:
        common = {"device": device, "visualize": visualize}
        self.detector = TextDetector(**{**common, **configs.get("text_detector", {})})
        self.recognizer = TextRecognizer(**{**common, **configs.get("text_recognizer", {})})

    def __call__(self, img: np.ndarray) -> tuple[OCRSchema, None]:
        """The words of a picture (height, width, BGR)."""
        found, vis = self.detector(img)
        read, vis = self.recognizer(img, found.points, vis=vis)
        words = [
            WordPrediction(points=points, content=content, direction=direction, rec_score=rec, det_score=det)
            for points, det, content, rec, direction in zip(
                found.points, found.scores, read.contents, read.scores, read.directions, strict=True
            )
        ]
        return OCRSchema(words=words), vis


class DocumentAnalyzer:
    """Words and layout of a page; ``configs`` are arguments for the four models, by name, below ``ocr`` and ``layout_analyzer``."""

    def __init__(
        self, configs: dict[str, Any] | None = None, device: str = "cuda", visualize: bool = False, **_: Any
    ) -> None:
        configs = configs or {}
        self.ocr = OCR(configs.get("ocr", {}), device, visualize)
        self.layout = LayoutAnalyzer(configs.get("layout_analyzer", {}), device, visualize)

    def __call__(self, img: np.ndarray) -> tuple[DocumentAnalyzerSchema, None, None]:
        """A paragraph for each line, from the top."""
        words, _ = self.ocr(img)
        layout, _ = self.layout(img)
        paragraphs = [
            ParagraphSchema(
                box=[*word.points[0], *word.points[2]],
                contents=word.content,
                direction=word.direction,
                order=order,
                role=None,
            )
            for order, word in enumerate(words.words)
        ]
        return (
            DocumentAnalyzerSchema(
                paragraphs=paragraphs, tables=layout.tables, words=words.words, figures=layout.figures
            ),
            None,
            None,
        )
