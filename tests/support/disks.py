"""File systems of their own for tests: small ones, and ones that take no writes."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def disk(place: Path, size: int, *options: str) -> Iterator[Path]:
    """A file system of ``size`` bytes at ``place``, mounted with ``options`` (mount(8)) for the time of the block."""
    place.mkdir()
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", ",".join([f"size={size}", *options]), "tmpfs", str(place)], check=True
    )
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)
