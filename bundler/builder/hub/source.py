"""Where model bytes come from: what every source can do, whatever stands behind it.

A source resolves what a recipe asks for, and says where a locked file is. It never brings bytes by itself: that is the
downloaders' part, one for all sources, and every file is compared with the lock whatever the way it came.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, Union

from bundler.builder.lock import LockedFile, LockedModel
from bundler.builder.recipe_models import ModelSpec


@dataclass(frozen=True)
class HttpFile:
    """A file that can be read by HTTP. ``headers`` may hold a token: they go to the address's own origin alone.

    ``hub`` says that the address is a ``resolve`` address of the Hub's protocol, as the Hub's client takes it;
    ``signed`` that it is a signed one, which opens nothing any more after some time.
    """

    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    hub: bool = False
    signed: bool = False


@dataclass(frozen=True)
class LocalFile:
    """A file on this host. ``ours`` is one that may be moved away: nobody else knows of it."""

    path: Path
    ours: bool = False


Located = Union[HttpFile, LocalFile]


class Source(Protocol):
    """A place that has models."""

    name: str
    """For people: an address or a directory, without credentials."""

    def resolve(self, wanted: ModelSpec) -> LockedModel:
        """What the wanted revision is now: commit, files, sizes and digests, all read from the source.

        Raises TransientError where another attempt may help, DownloadError where it cannot.
        """

    def locate(self, model: LockedModel, file: LockedFile) -> Located:
        """Where ``file`` of the locked commit can be read now; asked again before each attempt, since addresses expire.

        Raises TransientError where another attempt may help, DownloadError where the source does not have it.
        """
