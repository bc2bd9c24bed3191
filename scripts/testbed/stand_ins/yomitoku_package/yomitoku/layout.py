"""A page's layout. These tiny models find no element whose score is above their threshold."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from yomitoku.base import BaseModule, to_tensor
from yomitoku.configs import LayoutParserConfig, TableStructureRecognizerConfig
from yomitoku.models import RTDETRv2
from yomitoku.schemas import Box, Element, LayoutAnalyzerSchema, LayoutParserSchema, TableStructureRecognizerSchema


class LayoutParser(BaseModule):
    """Paragraphs, tables and figures."""

    model_catalog: ClassVar = {"rtdetrv2v2": (LayoutParserConfig, RTDETRv2)}

    def __init__(self, model_name: str = "rtdetrv2v2", **options: Any) -> None:
        super().__init__(model_name, **options)

    def __call__(self, img: np.ndarray) -> tuple[LayoutParserSchema, None]:
        """The elements of a picture: of each kind one, the whole page, where its score is high enough."""
        scores = self.run(to_tensor(img))[0]
        box = [0, 0, img.shape[1], img.shape[0]]
        kinds: dict[str, list[Element]] = {"tables": [], "figures": [], "paragraphs": []}
        for number, kind in enumerate(kinds):
            if scores[number] > self._cfg.thresh_score:
                score = float(scores[number])
                kinds[kind].append(Element(id=None, box=box, score=score, role=None, contents=None))
        return LayoutParserSchema(**kinds), None


class TableStructureRecognizer(BaseModule):
    """Rows, columns and cells of tables."""

    model_catalog: ClassVar = {"rtdetrv2": (TableStructureRecognizerConfig, RTDETRv2)}

    def __init__(self, model_name: str = "rtdetrv2", **options: Any) -> None:
        super().__init__(model_name, **options)

    def __call__(
        self, img: np.ndarray, table_boxes: list[Box], vis: None = None
    ) -> tuple[list[TableStructureRecognizerSchema], None]:
        """A table of no rows for each box."""
        found = []
        for order, box in enumerate(table_boxes):
            left, top, right, bottom = box
            self.run(to_tensor(img[top:bottom, left:right]))
            found.append(
                TableStructureRecognizerSchema(
                    box=box, n_row=0, n_col=0, rows=[], cols=[], spans=[], cells=[], order=order
                )
            )
        return found, None


class LayoutAnalyzer:
    """Both of them."""

    def __init__(self, configs: dict[str, dict[str, Any]], device: str = "cuda", visualize: bool = False) -> None:
        common = {"device": device, "visualize": visualize}
        self.layout_parser = LayoutParser(**{**common, **configs.get("layout_parser", {})})
        self.table_structure_recognizer = TableStructureRecognizer(
            **{**common, **configs.get("table_structure_recognizer", {})}
        )

    def __call__(self, img: np.ndarray) -> tuple[LayoutAnalyzerSchema, None]:
        """The layout of a picture."""
        layout, vis = self.layout_parser(img)
        tables, vis = self.table_structure_recognizer(img, [table.box for table in layout.tables], vis=vis)
        return LayoutAnalyzerSchema(paragraphs=layout.paragraphs, tables=tables, figures=layout.figures), vis
