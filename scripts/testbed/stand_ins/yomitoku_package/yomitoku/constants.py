"""Where the package lies."""

from __future__ import annotations

from pathlib import Path

ROOT_DIR = str(Path(__file__).resolve().parent)
