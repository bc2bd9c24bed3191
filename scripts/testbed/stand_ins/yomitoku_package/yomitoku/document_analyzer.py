"""All that is on a page."""

from __future__ import annotations

from typing import Any

import numpy as np

from yomitoku.elements import arrange
from yomitoku.layout import LayoutAnalyzer
from yomitoku.schemas import DocumentAnalyzerSchema, OCRSchema, WordPrediction
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
        """What ``elements`` makes of the lines, from the top; the layout models run, and see nothing."""
        words, _ = self.ocr(img)
        self.layout(img)
        paragraphs, tables, figures = arrange(words.words)
        page = DocumentAnalyzerSchema(paragraphs=paragraphs, tables=tables, words=words.words, figures=figures)
        return page, None, None
