"""Writes that are whole or absent: to a temporary name beside the final one, flushed, then renamed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Optional


@contextmanager
def atomic_file(path: Path, mode: int = 0o644, temporary: Optional[Path] = None) -> Iterator[BinaryIO]:
    """A new file that appears at ``path`` when the block ends well, and leaves nothing there when it does not.

    A kill leaves ``temporary``, a name in the same directory; whoever has to find it afterwards says which one.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary or path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with temporary.open("wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        temporary.chmod(mode)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_directory(path.parent)


def write_atomic(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Put ``content`` at ``path``, whole or not at all."""
    with atomic_file(path, mode) as stream:
        stream.write(content)


def sync_directory(directory: Path) -> None:
    """Make renames in ``directory`` survive a loss of power."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
