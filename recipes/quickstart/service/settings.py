"""Where things lie in the image. The environment may say otherwise; nothing else is configurable."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

#: The recipe puts the model here.
MODEL_DIR = Path("/app/models/minilm")


@dataclass(frozen=True)
class Settings:
    """Absolute paths of the model and the texts, and where the HTTP server listens."""

    model_dir: Path
    texts_dir: Path
    host: str
    port: int

    @classmethod
    def from_environment(cls) -> Settings:
        """Read ``MODEL_DIR``, ``TEXTS_DIR``, ``HOST`` and ``PORT``, each with its default."""
        return cls(
            model_dir=Path(os.environ.get("MODEL_DIR", MODEL_DIR)),
            texts_dir=Path(os.environ.get("TEXTS_DIR", Path(__file__).resolve().parent.parent / "texts")),
            host=os.environ.get("HOST", "0.0.0.0"),  # inside a container: its own network name space
            port=int(os.environ.get("PORT", "8080")),
        )
