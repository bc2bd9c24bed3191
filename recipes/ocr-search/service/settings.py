"""Where things lie in the image. The environment may say otherwise; nothing else is configurable."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

#: The recipe puts the models here.
MINILM_DIR = Path("/app/models/minilm")
PPOCR_DIR = Path("/app/models/ppocr")


@dataclass(frozen=True)
class Settings:
    """Absolute paths of the models and of the pages that are read first, and where the HTTP server listens."""

    minilm_dir: Path
    ppocr_dir: Path
    pages_dir: Path
    host: str
    port: int

    @classmethod
    def from_environment(cls) -> Settings:
        """Read ``MINILM_DIR``, ``PPOCR_DIR``, ``PAGES_DIR``, ``HOST`` and ``PORT``, each with its default."""
        return cls(
            minilm_dir=Path(os.environ.get("MINILM_DIR", MINILM_DIR)),
            ppocr_dir=Path(os.environ.get("PPOCR_DIR", PPOCR_DIR)),
            pages_dir=Path(os.environ.get("PAGES_DIR", Path(__file__).resolve().parent.parent / "pages")),
            host=os.environ.get("HOST", "0.0.0.0"),  # inside a container: its own network name space
            port=int(os.environ.get("PORT", "8080")),
        )
