"""What brings a file by HTTP: one protocol, several ways behind it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from bundler.builder.hub.digests import Digests
from bundler.builder.hub.part import Part
from bundler.builder.hub.source import HttpFile
from bundler.builder.lock import LockedFile
from bundler.core.progress import Task


@dataclass(frozen=True)
class Order:
    """One attempt at one file. ``task`` hears of bytes that are new on this host in this run."""

    file: LockedFile
    remote: HttpFile
    part: Part
    task: Task


class Downloader(Protocol):
    """One way to bring a file."""

    name: str

    def bring(self, order: Order) -> Digests:
        """Make ``order.part`` the whole file, and say what its content's digests are (the caller compares them).

        Raises TransientError where another attempt may help: what the part holds then is kept for it where this way
        can resume. Raises DownloadError where the address will never give the file, OSError for this host's disk.
        """
