"""YomiToku's OCR and layout analysis, from the image's own directory and from nowhere else.

The library loads its models by name and without a word on where they may come from; it is given the absolute path of each
instead, after the files were compared with the lock. That matters twice: its loader does not mind weights of which
parts are missing.
"""

from __future__ import annotations

import io
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from yomitoku import DocumentAnalyzer
from yomitoku.constants import ROOT_DIR
from yomitoku.schemas import DocumentAnalyzerSchema

from backend.loading import Loaded, device, making
from backend.model_files import LockedModel, ModelsLock, require_whole
from backend.yomitoku_models import (
    ALL,
    DETECTOR,
    LAYOUT,
    RECOGNIZER,
    RECOGNIZER_LITE,
    TABLES,
    OcrModelError,
    YomitokuModel,
    write_configs,
)

__all__ = ["NotAPageError", "OcrModelError", "YomitokuOcr", "decode", "require_loadable"]

#: Width times height.
_MOST_PIXELS = 50_000_000
Picture = NDArray[np.uint8]


class NotAPageError(Exception):
    """What was sent is no picture that can be read; ``too_large`` where that is the reason."""

    def __init__(self, message: str, *, too_large: bool = False) -> None:
        super().__init__(message)
        self.too_large = too_large


@dataclass(frozen=True)
class YomitokuOcr:
    """The loaded models; one page is read at a time."""

    analyzer: DocumentAnalyzer
    loaded: tuple[Loaded, ...]
    turn: threading.Lock

    @classmethod
    def load(cls, cache: Path, lock: ModelsLock, *, lite: bool = False) -> YomitokuOcr:
        """Load from the cache at ``cache``, an absolute path. Raises ModelError where it is not what the lock says.

        ``lite`` takes the small recogniser and, without a GPU, the detector's ONNX export that the build made.
        """
        locked = require_loadable(cache, lock)
        recognizer = RECOGNIZER_LITE if lite else RECOGNIZER
        where = str(device())
        with making() as watch, tempfile.TemporaryDirectory() as folder:
            arguments: dict[YomitokuModel, dict[str, Any]] = {
                **write_configs((DETECTOR, recognizer, LAYOUT, TABLES), cache, Path(folder))
            }
            if lite and where == "cpu":
                arguments[DETECTOR]["infer_onnx"] = _require_export(DETECTOR.snapshot(cache))
            configs = {
                "ocr": {"text_detector": arguments[DETECTOR], "text_recognizer": arguments[recognizer]},
                "layout_analyzer": {
                    "layout_parser": arguments[LAYOUT],
                    "table_structure_recognizer": arguments[TABLES],
                },
            }
            try:
                analyzer = DocumentAnalyzer(configs=configs, device=where, visualize=False)
            except Exception as error:
                raise OcrModelError(cache, f"does not load: {error}") from error
            loaded = tuple(watch.loaded(locked[model], model.snapshot(cache)) for model in arguments)
        return cls(analyzer, loaded, threading.Lock())

    def read(self, picture: Picture) -> DocumentAnalyzerSchema:
        """All that is on the page (height, width, BGR)."""
        with self.turn:
            return self.analyzer(picture)[0]


def require_loadable(cache: Path, lock: ModelsLock, *, thorough: bool = False) -> dict[YomitokuModel, LockedModel]:
    """The lock's entries. Raises ModelError unless each of the models stands in the cache as the lock has it."""
    found = {}
    for model in ALL:
        locked = lock.of_repo(model.repo)
        snapshot = model.snapshot(cache)
        if snapshot.name != locked.commit:
            raise OcrModelError(snapshot, f"refs/main says {snapshot.name}, the lock {locked.commit}")
        require_whole(snapshot, locked, thorough=thorough)
        found[model] = locked
    return found


def decode(content: bytes) -> Picture:
    """The pixels of an image file, upright, as the library wants them. Raises NotAPageError."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            width, height = image.size
            if width * height > _MOST_PIXELS:
                raise NotAPageError(
                    f"the picture has {width} x {height} pixels, {_MOST_PIXELS:,} are the most", too_large=True
                )
            upright = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    except Image.DecompressionBombError as error:
        raise NotAPageError(f"the picture is too large: {error}", too_large=True) from error
    except (OSError, ValueError, SyntaxError) as error:
        raise NotAPageError(f"not a picture that can be read: {error}") from error
    return np.ascontiguousarray(upright[:, :, ::-1])


def _require_export(snapshot: Path) -> bool:
    """True; where the export is not there the library would make it now, in a place that is read-only."""
    export = Path(ROOT_DIR, "onnx", f"{snapshot.name}.onnx")
    if not export.is_file():
        raise OcrModelError(export, "the build made no ONNX export of the detector")
    return True
