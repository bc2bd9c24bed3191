"""Disk space, asked for before anything is written: what is needed in each place, summed where places share a disk."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bundler.core.errors import PreconditionError, Problem

#: What a file system wants beside the content: metadata, blocks that are not full.
_OVERHEAD = 1.02


@dataclass(frozen=True)
class Need:
    """``size`` more bytes at ``path``, which may not exist yet; ``purpose`` says what for."""

    path: Path
    size: int
    purpose: str


@dataclass(frozen=True)
class StorePlace:
    """Where an engine stores images, and how many bytes one byte of a layer takes there at its peak and for good."""

    root: Path
    peak_factor: float
    kept_factor: float

    def need(self, total_size: int, largest_size: int, purpose: str) -> Need:
        """What layers of ``total_size`` uncompressed bytes take while the largest of them is loaded."""
        peak = self.kept_factor * total_size + max(self.peak_factor - self.kept_factor, 0.0) * largest_size
        return Need(self.root, int(peak), purpose)


def require_space(needs: Sequence[Need]) -> None:
    """Raise PreconditionError, naming every disk that is too small with what is needed and free there."""
    problems = []
    for group in _by_disk(needs):
        place = existing_place(group[0].path)
        stat = os.statvfs(place)
        free, needed = stat.f_bavail * stat.f_frsize, int(sum(need.size for need in group) * _OVERHEAD)
        if needed > free:
            purposes = ", ".join(f"{need.purpose} ({_mib(need.size)})" for need in group if need.size)
            what = f"{_mib(needed)} are needed and {_mib(free)} are free: {purposes}"
            problems.append(Problem(str(place), what))
    if problems:
        raise PreconditionError(
            "there is not enough disk space",
            where=", ".join(problem.where for problem in problems),
            remedy="free some there, or choose another --output or XDG_CACHE_HOME; then run the same command again",
            problems=problems,
        )


def _by_disk(needs: Sequence[Need]) -> list[list[Need]]:
    groups: dict[int, list[Need]] = {}
    for need in needs:
        groups.setdefault(existing_place(need.path).stat().st_dev, []).append(need)
    return list(groups.values())


def existing_place(path: Path) -> Path:
    """``path``, or the nearest directory above it that exists."""
    path = path.absolute()
    return next(place for place in (path, *path.parents) if place.exists())


def _mib(size: int) -> str:
    return f"{size / (1 << 20):,.0f} MiB"
