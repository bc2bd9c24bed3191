"""YomiToku's OCR and layout analysis, from the image's own directory and from nowhere else.

The library loads its models by name and without a word on where they may come from; it is given the absolute path of each
instead, after the files were compared with the lock. That matters twice: its loader does not mind weights of which
parts are missing.
"""

from __future__ import annotations

import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yomitoku import DocumentAnalyzer
from yomitoku.constants import ROOT_DIR
from yomitoku.schemas import DocumentAnalyzerSchema

from backend.loading import Loaded, device, making
from backend.model_files import LockedModel, ModelsLock, require_whole
from backend.services.ocr.pictures import Picture, decode
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

__all__ = ["OcrModelError", "YomitokuOcr", "require_loadable"]


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

    def read_file(self, content: bytes) -> tuple[DocumentAnalyzerSchema, int, int]:
        """The page of an image file, its width and its height; its pixels are in memory in its turn. Raises NotAPageError."""
        with self.turn:
            picture = decode(content)
            height, width = picture.shape[:2]
            return self.analyzer(picture)[0], width, height


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


def _require_export(snapshot: Path) -> bool:
    """True; where the export is not there the library would make it now, in a place that is read-only."""
    export = Path(ROOT_DIR, "onnx", f"{snapshot.name}.onnx")
    if not export.is_file():
        raise OcrModelError(export, "the build made no ONNX export of the detector")
    return True
