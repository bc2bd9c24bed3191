"""Cells of tables by their meaning."""

from __future__ import annotations

from typing import Any, ClassVar

from yomitoku.base import BaseModule
from yomitoku.configs import CellDetectorConfig
from yomitoku.layout import LayoutParser
from yomitoku.models import RTDETRv2
from yomitoku.text import TextDetector, TextRecognizer


class CellDetector(BaseModule):
    """Cells of six kinds."""

    model_catalog: ClassVar = {"rtdetrv2": (CellDetectorConfig, RTDETRv2)}

    def __init__(self, model_name: str = "rtdetrv2", **options: Any) -> None:
        super().__init__(model_name, **options)


class TableSemanticParser:
    """Loads what the library's class of this name loads."""

    def __init__(self, configs: dict[str, dict[str, Any]], device: str = "cuda", visualize: bool = True) -> None:
        common = {"device": device, "visualize": visualize}
        self.layout_parser = LayoutParser(**{**common, **configs.get("table_detector", {})})
        self.cell_detector = CellDetector(**{**common, **configs.get("table_cell_parser", {})})
        self.text_detector = TextDetector(**{"device": device, **configs.get("text_detector", {})})
        self.text_recognizer = TextRecognizer(**{"device": device, **configs.get("text_recognizer", {})})
