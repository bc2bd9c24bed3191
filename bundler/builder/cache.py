"""Where a connected host keeps what builds share: below ``$XDG_CACHE_HOME/bundler``.

All of it can be removed at any time; the next build fetches and packs it again.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from bundler.core.errors import PreconditionError


@dataclass(frozen=True)
class Cache:
    """The directories of the cache at ``root``."""

    root: Path

    @property
    def layers(self) -> Path:
        """Packed layers of engines, by diff_id."""
        return self.root / "layers"

    @property
    def blobs(self) -> Path:
        """Blobs of images of others, by digest."""
        return self.root / "blobs"

    @property
    def prepared(self) -> Path:
        """Outputs of ``prepare:`` commands."""
        return self.root / "prepared"

    @property
    def work(self) -> Path:
        """What builds that run now use."""
        return self.root / "work"

    @property
    def rehearsals(self) -> Path:
        """The journal of rehearsals, so that the next one removes what a killed one left."""
        return self.root / "rehearsals"

    def lock(self, name: str) -> Path:
        """The file that keeps two builds of one name apart."""
        return self.root / "locks" / f"{name}.lock"


def default_cache() -> Cache:
    """``$XDG_CACHE_HOME/bundler``, or ``~/.cache/bundler``; raises PreconditionError where there is no home."""
    base = os.environ.get("XDG_CACHE_HOME")
    if base:
        return Cache(Path(base).absolute() / "bundler")
    try:
        return Cache(Path.home() / ".cache" / "bundler")
    except RuntimeError as error:
        raise PreconditionError(
            "there is no home directory to keep downloads in", where="HOME", remedy="set XDG_CACHE_HOME"
        ) from error
