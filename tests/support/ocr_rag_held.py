"""The service of ocr-rag whose reranker computes nothing, and answers only when the file at ``HELD`` is gone.

Who sends nothing for two seconds has fallen silent.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

from app import app

from backend.api import admission
from backend.services.reranker.llama_nv import LlamaNvReranker

__all__ = ["app"]


def _score(_: LlamaNvReranker, query: str, texts: Sequence[str]) -> list[float]:
    while Path(os.environ["HELD"]).exists():
        time.sleep(0.05)
    return [0.0] * len(texts)


LlamaNvReranker.score = _score
admission.LONGEST_SILENCE_S = 2
