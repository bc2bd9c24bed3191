"""Lines of text on a page, and what they say."""

from __future__ import annotations

from itertools import groupby
from typing import Any, ClassVar

import numpy as np
import torch

from yomitoku.base import BaseModule, to_tensor
from yomitoku.configs import TextDetectorConfig, TextRecognizerConfig, TextRecognizerTinyConfig
from yomitoku.models import CELL_HEIGHT, CELL_WIDTH, DBNet, PARSeq
from yomitoku.schemas import Points, TextDetectorSchema, TextRecognizerSchema


class TextDetector(BaseModule):
    """Lines: rows of pixels with ink in them, one below the other."""

    model_catalog: ClassVar = {"dbnetv2_1": (TextDetectorConfig, DBNet)}
    onnx_axes: ClassVar = {0: "batch_size", 2: "height", 3: "width"}

    def __init__(self, model_name: str = "dbnetv2_1", **options: Any) -> None:
        super().__init__(model_name, **options)

    def __call__(self, img: np.ndarray) -> tuple[TextDetectorSchema, None]:
        """The lines of a picture (height, width, BGR)."""
        ink = self.run(to_tensor(img))[0, 0]
        inked = ink.max(axis=1) > self._cfg.thresh
        near = np.convolve(inked, np.ones(3), "same") > 0  # the dot of an i belongs to what is below it
        points = []
        for in_line, rows in groupby(range(len(inked)), key=lambda row: bool(near[row])):
            if in_line:
                band = [row for row in rows if inked[row]]
                columns = np.flatnonzero(ink[band].max(axis=0) > self._cfg.thresh)
                points.append(_corners(int(columns[0]), band[0], int(columns[-1]) + 1, band[-1] + 1))
        return TextDetectorSchema(points=points, scores=[1.0] * len(points)), None


class TextRecognizer(BaseModule):
    """The text of a line: cells of a fixed width, at the place where they fit the glyphs best."""

    model_catalog: ClassVar = {
        "parseq-large-v4_1": (TextRecognizerConfig, PARSeq),
        "parseq-tiny-dynw-v4": (TextRecognizerTinyConfig, PARSeq),
    }
    onnx_input: ClassVar = (1, 3, CELL_HEIGHT, CELL_WIDTH)

    def __init__(
        self,
        model_name: str = "parseq-large-v4_1",
        dynamic_width: bool = False,
        batch_bucketing: bool = False,
        num_parallel_batches: int = 1,
        source_downscale: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(model_name, **options)

    def __call__(
        self, img: np.ndarray, points: list[Points] | None = None, vis: None = None
    ) -> tuple[TextRecognizerSchema, None]:
        """What the lines at ``points`` say; the whole picture is one line where none are given."""
        points = points if points is not None else [_corners(0, 0, img.shape[1], img.shape[0])]
        read = [self._line(img, line) for line in points]
        return TextRecognizerSchema(
            contents=[text for text, _ in read],
            directions=["horizontal"] * len(read),
            scores=[score for _, score in read],
            points=points,
        ), None

    def _line(self, img: np.ndarray, points: Points) -> tuple[str, float]:
        (left, top), _, (right, bottom), _ = points
        white = np.pad(img, ((CELL_HEIGHT,) * 2, (CELL_WIDTH,) * 2, (0, 0)), constant_values=255)
        readings = []
        for above in range(CELL_HEIGHT - min(bottom - top, CELL_HEIGHT) + 1):
            for before in range(CELL_WIDTH):
                y, x = top - above + CELL_HEIGHT, left - before + CELL_WIDTH
                count = -(-(right - left + before) // CELL_WIDTH)
                strip = white[y : y + CELL_HEIGHT, x : x + count * CELL_WIDTH]
                strip = np.pad(strip, ((0, 0), (0, count * CELL_WIDTH - strip.shape[1]), (0, 0)), constant_values=255)
                readings.append(self._cells(to_tensor(strip), count))
        return max(readings, key=lambda reading: reading[1])

    def _cells(self, strip: torch.Tensor, count: int) -> tuple[str, float]:
        """The nearest glyphs, and how near they are: 1 where every pixel is the same, less for each that is not."""
        cells = torch.stack(strip[0].split(CELL_WIDTH, dim=2))
        scores = self.run(cells)
        distances = (cells.mean(dim=1) ** 2).sum(dim=(1, 2)).numpy() - scores.max(axis=1)
        text = "".join(self._cfg.charset[index] for index in scores.argmax(axis=1))
        return text.rstrip(), float(1 / (1 + max(0.0, distances.sum()) / count))


def _corners(left: int, top: int, right: int, bottom: int) -> Points:
    return [[left, top], [right, top], [right, bottom], [left, bottom]]
