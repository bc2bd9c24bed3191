"""A file that is not whole yet, and the journal of what of it is here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Part:
    """The unfinished file at ``path``; its journal stands beside it."""

    path: Path

    @property
    def journal(self) -> Path:
        """Which bytes are here."""
        return self.path.with_name(self.path.name + ".journal")

    def here(self) -> int:
        """Bytes that need not be brought again; 0 where the journal is missing or not of this file."""
        return 0

    def discard(self) -> None:
        """Begin anew."""
        for path in (self.journal, self.path):
            path.unlink(missing_ok=True)
