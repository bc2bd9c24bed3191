"""Removing a folder with whatever is still mounted in it: a plain ``rm -r`` would go into the mounts."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def workplace(folder: Path) -> Iterator[Path]:
    """An empty ``folder`` for the time of the block; what a killed run left of it goes first.

    Its name is fixed, so the caller holds a lock on it.
    """
    remove_tree(folder)
    folder.mkdir()
    try:
        yield folder
    finally:
        remove_tree(folder)


def remove_tree(folder: Path) -> None:
    """Unmount everything at and below ``folder``, deepest first, and remove it."""
    for point in reversed(_mounts_below(folder)):
        if subprocess.run(["umount", point], capture_output=True, check=False).returncode:
            subprocess.run(["umount", "--lazy", point], capture_output=True, check=False)
    if folder.exists():
        shutil.rmtree(folder)


def _mounts_below(folder: Path) -> list[str]:
    """Mount points at and below ``folder`` in the order of mounting (proc(5), mountinfo: the fifth field)."""
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return [point for point in points if point == str(folder) or point.startswith(f"{folder}/")]
