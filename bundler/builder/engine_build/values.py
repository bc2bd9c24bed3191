"""What a build is asked for and what it gives: plain values, without an engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Literal

from bundler.builder.dockerfile import Dockerfile
from bundler.core.digest import Digest

BuilderKind = Literal["buildx", "classic"]

#: Where private parents keep what only the build needs; nothing of an image may hold it.
PRIVATE_DIRECTORY = PurePosixPath("/.bundler-build")


@dataclass(frozen=True)
class SecretSource:
    """A build secret: its ``id``, and the file or the environment variable that holds it, never the value itself."""

    id: str
    path: Path | None = None
    variable: str | None = None


@dataclass(frozen=True)
class BuildOptions:
    """What the person who builds decides, beside the recipe.

    ``builder`` None takes buildx where it works. ``network`` is ``host`` or None, the engine's default.
    ``wheelhouse`` appears in each context as the directory ``wheelhouse``.
    """

    builder: BuilderKind | None = None
    args: Mapping[str, str] = field(default_factory=dict)
    secrets: tuple[SecretSource, ...] = ()
    ca_bundle: Path | None = None
    wheelhouse: Path | None = None
    network: Literal["host"] | None = None
    no_cache: bool = False


@dataclass(frozen=True)
class PrivateVariable:
    """A variable that a private parent sets: its ``value`` there, and the image's ``original`` one (None: it had none).

    Where a finished image has another value than ``value``, its Dockerfile set it, and it stays.
    """

    name: str
    value: str
    original: str | None


@dataclass(frozen=True)
class PrivateParts:
    """What of a finished image came in through private parents, to be left out when it is composed.

    ``diff_ids`` of its layers, ``history`` positions in its config's history (counted from 0), ``env`` variables.
    """

    diff_ids: tuple[Digest, ...] = ()
    history: tuple[int, ...] = ()
    env: tuple[PrivateVariable, ...] = ()

    def __add__(self, other: PrivateParts) -> PrivateParts:
        return PrivateParts(self.diff_ids + other.diff_ids, self.history + other.history, self.env + other.env)


@dataclass(frozen=True)
class BuiltImage:
    """An image in the engine under a private tag; ``image_id`` is what this engine calls it."""

    tag: str
    image_id: str
    diff_ids: tuple[Digest, ...]
    private: PrivateParts


@dataclass(frozen=True)
class BuildRequest:
    """One image to build. ``text`` is the Dockerfile, ``dockerfile`` the same as read with ``args``."""

    label: str
    text: str
    dockerfile: Dockerfile
    context: Path
    ignore: tuple[str, ...]
    args: Mapping[str, str]
    target: str | None
    platform: str


@dataclass(frozen=True)
class BuilderJob:
    """What a builder gets: a directory as context, a Dockerfile whose images are private tags, and a tag to give."""

    label: str
    dockerfile_name: str
    dockerfile: str
    context: Path
    files: tuple[str, ...]
    extra: Mapping[str, Path]
    args: Mapping[str, str]
    target: str | None
    platform: str
    tag: str
    names: Mapping[str, str] = field(default_factory=dict)
    """What people call the images behind the private tags, for messages."""
    shown: Dockerfile | None = None
    """The user's Dockerfile, whose lines messages name; None for what bundler generates."""
