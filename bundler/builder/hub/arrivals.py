"""What came from where, for the lines at the end of a model."""

from __future__ import annotations

import threading
from collections import Counter


class Arrivals:
    """Files and bytes by source and way; safe for many threads."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._files: Counter[tuple[str, str]] = Counter()
        self._sizes: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Lock()

    def add(self, source: str, way: str, size: int) -> None:
        """A file of ``size`` bytes came."""
        with self._lock:
            self._files[source, way] += 1
            self._sizes[source, way] += size

    def told(self) -> list[str]:
        """One line for each source and way."""
        with self._lock:
            return [
                f"{self._model}: {count} file{'s' if count > 1 else ''}, {self._sizes[key]:,} bytes, from {key[0]} ({key[1]})"
                for key, count in sorted(self._files.items())
            ]
