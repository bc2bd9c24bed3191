"""Where things lie in the image. The environment may say otherwise; nothing else is configurable."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Settings:
    """Absolute paths of the models and of the lock that says what they hold; ``ocr_lite`` takes the small recogniser."""

    sarashina_dir: Path
    reranker_dir: Path
    yomitoku_dir: Path
    lock: Path
    ocr_lite: bool

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Settings:
        """Read ``SARASHINA_DIR``, ``RERANKER_DIR``, ``YOMITOKU_DIR``, ``MODELS_LOCK``, ``OCR_LITE`` (0 or 1)."""
        return cls(
            sarashina_dir=Path(environment.get("SARASHINA_DIR", "/app/models/sarashina")),
            reranker_dir=Path(environment.get("RERANKER_DIR", "/app/reranker_models/llama-nv-reranker")),
            yomitoku_dir=Path(environment.get("YOMITOKU_DIR", "/app/models/yomitoku")),
            lock=Path(environment.get("MODELS_LOCK", "/app/recipe.lock")),
            ocr_lite=environment.get("OCR_LITE", "0") == "1",
        )
