"""The steps of ``scripts/demo``; ``demonstration.py`` reads as their list."""

from __future__ import annotations
