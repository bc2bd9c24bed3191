"""Pixels to lines of text: rapidocr with PP-OCR models that are named by absolute paths.

rapidocr would download a model whose path it is not told. Here it is told both, they are looked for before it is, and the
models that its package brings are not in the image (Dockerfile.base).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import numpy as np
from rapidocr import RapidOCR
from rapidocr.main import RapidOCRError

from service.errors import ModelError
from service.pictures import Pixels

DETECTOR = "onnx/PP-OCRv6/det/PP-OCRv6_det_small.onnx"
RECOGNISER = "onnx/PP-OCRv6/rec/PP-OCRv6_rec_small.onnx"
#: Lines that go through the recogniser together.
_BATCH = 6
_THREADS = min(4, os.cpu_count() or 1)
_LEAST_SCORE = 0.5  # below, what was "read" is mostly a stain

Corner = tuple[float, float]
#: Called with the lines that were read and those that were found.
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Line:
    """A line as it stands on the page: its text, how sure that is (0 to 1), its corners in pixels from the top left."""

    text: str
    score: float
    box: tuple[Corner, Corner, Corner, Corner]


class Reader:
    """Loaded models. One page at a time goes through them, whatever threads ask."""

    def __init__(self, engine: RapidOCR) -> None:
        self._engine = engine
        self._lock = Lock()

    @classmethod
    def load(cls, directory: Path) -> Reader:
        """Load both models from a directory. Raises ModelError when one is missing or damaged."""
        if not directory.is_absolute():
            raise ModelError(directory, "not an absolute path")
        missing = [name for name in (DETECTOR, RECOGNISER) if not (directory / name).is_file()]
        if missing:
            raise ModelError(directory, f"missing {', '.join(missing)}" if directory.is_dir() else "no such directory")
        engine = RapidOCR(params=_parameters(directory))
        blank = np.full((64, 64, 3), 255, dtype=np.uint8)
        # rapidocr loads a model when it is first used: here, so that a broken one ends the start.
        _tried(directory / DETECTOR, lambda: engine.detect_and_crop(blank, {}))
        _tried(directory / RECOGNISER, lambda: engine.recognize_txt([blank]))
        return cls(engine)

    def read(self, pixels: Pixels, progress: Progress) -> list[Line]:
        """The lines of a page in BGR, as they were found; none where there is no text."""
        with self._lock:
            found = self._engine(pixels, use_det=True, use_cls=False, use_rec=False)
            boxes = [] if found.boxes is None else list(found.boxes)
            progress(0, len(boxes))
            lines: list[Line] = []
            for start in range(0, len(boxes), _BATCH):
                lines += self._recognise(pixels, boxes[start : start + _BATCH])
                progress(min(start + _BATCH, len(boxes)), len(boxes))
            return lines

    def _recognise(self, pixels: Pixels, boxes: list[np.ndarray]) -> Iterator[Line]:
        read = self._engine.recognize_txt(self._engine.crop_text_regions(pixels, boxes))
        for box, text, score in zip(boxes, read.txts, read.scores, strict=True):
            if text.strip() and score >= _LEAST_SCORE:
                corners = tuple((round(float(x), 1), round(float(y), 1)) for x, y in box)
                yield Line(text.strip(), float(score), corners)


def _parameters(directory: Path) -> dict[str, object]:
    return {
        "Det.model_path": str(directory / DETECTOR),
        "Rec.model_path": str(directory / RECOGNISER),
        "Rec.rec_batch_num": _BATCH,
        # The longer side of what the detector sees: letters of scanned pages are large enough then, and it is quick.
        "Det.limit_type": "max",
        "Det.limit_side_len": 960,
        "Global.use_cls": False,  # pages stand upright
        "Global.log_level": "critical",
        "EngineConfig.onnxruntime.intra_op_num_threads": _THREADS,
    }


def _tried(model: Path, use: Callable[[], object]) -> None:
    try:
        use()
    except RapidOCRError:
        pass  # it found no text on a blank
    except Exception as error:
        raise ModelError(model, f"not readable: {error}") from error
