"""What stands at a place on this host, by its digest."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

from bundler.core.digest import Digest


def digest_of(path: Path) -> Optional[Digest]:
    """Digest of a regular file; None for anything else, a link too, and for nothing."""
    if path.is_symlink() or not path.is_file():
        return None
    with path.open("rb") as stream:
        return Digest.of_stream(stream)
