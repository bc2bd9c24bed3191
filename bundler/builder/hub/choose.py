"""Which downloader brings a file (`docs/adr/0006-downloaders.md` has the figures)."""

from __future__ import annotations

from pathlib import Path

from bundler.builder.hub.downloader import Downloader
from bundler.builder.hub.http import Http
from bundler.builder.hub.limits import Limits
from bundler.builder.hub.part import Part
from bundler.builder.hub.ranged import Ranged
from bundler.builder.hub.source import HttpFile
from bundler.builder.lock import LockedFile

#: What ``--downloader`` and the recipe may say.
WAYS = ("auto", "ranged", "hf_transfer", "xet", "hub")


class Chosen:
    """``way`` is one of `WAYS`."""

    def __init__(self, limits: Limits, way: str = "auto", ca_bundle: Path | None = None) -> None:
        self._ranged = Ranged(Http(limits.policy, limits.connections, ca_bundle), limits)
        self._way = way

    def downloader(self, file: LockedFile, remote: HttpFile, part: Part, attempt: int) -> Downloader:
        """The one for this attempt (from 1)."""
        return self._ranged
