"""Image names, parsed once and fully qualified: ``docker.io/library/busybox:1.36``, ``host:5000/team/app@sha256:…``.

Grammar and normalisation follow the distribution project's ``reference`` package (grammar in its ``reference.go``,
familiar names in ``normalize.go``), which every engine uses. A fully qualified name means the same to each of them;
a short one becomes ``docker.io/library/…`` in Docker and ``localhost/…`` in Podman.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Optional

from bundler.core.digest import Digest

DEFAULT_HOST = "docker.io"
_OFFICIAL = "library/"
_LEGACY_HOST = "index.docker.io"
_NAME_LIMIT = 255

_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_HOST = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9a-fA-F:]+\])(?::[0-9]{{1,5}})?")
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_PATH = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_HEX_64 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Reference:
    """The name of an image: ``host`` (with its port), ``path``, and a ``tag``, a ``digest``, both or neither.

    ``str()`` is the fully qualified form; a name without tag and digest stays so until `tagged` is asked for.
    """

    host: str
    path: str
    tag: Optional[str] = None
    digest: Optional[Digest] = None

    def __post_init__(self) -> None:
        if not _HOST.fullmatch(self.host):
            raise ValueError(f"{self.host!r} is not a registry host")
        _check_path(self.path)
        if self.tag is not None and not _TAG.fullmatch(self.tag):
            raise ValueError(f"{self.tag!r} is not a tag (letters, digits, '_', '.', '-'; 128 at most)")
        if len(self.name) > _NAME_LIMIT:
            raise ValueError(f"the name is {len(self.name)} characters long, {_NAME_LIMIT} are allowed")

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Read a name as people write it, short or full; raises ValueError that says what is wrong with it."""
        rest, at, digest_text = text.partition("@")
        digest = _parse_digest(digest_text) if at else None
        name, tag = _split_tag(rest)
        if not name:
            raise ValueError(f"{text!r} has no image name" + (" before its tag" if tag else ""))
        host, path = _split_host(name)
        return cls(host, path, tag, digest)

    @property
    def name(self) -> str:
        """Host and path, without tag and digest."""
        return f"{self.host}/{self.path}"

    @property
    def familiar(self) -> str:
        """The shortest form that means the same to Docker: ``busybox:1.36``."""
        short = self.name
        if self.host == DEFAULT_HOST:
            short = self.path[len(_OFFICIAL) :] if self._is_official else self.path
        return short + self._suffix

    def tagged(self, default: str = "latest") -> Reference:
        """The same name with the tag that engines assume where neither tag nor digest is given."""
        return self if self.tag or self.digest else replace(self, tag=default)

    def without_digest(self) -> Reference:
        """The same name and tag, without the digest."""
        return replace(self, digest=None)

    def __str__(self) -> str:
        return self.name + self._suffix

    @property
    def _is_official(self) -> bool:
        return self.path.startswith(_OFFICIAL) and "/" not in self.path[len(_OFFICIAL) :]

    @property
    def _suffix(self) -> str:
        return (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")


def _split_tag(text: str) -> tuple[str, Optional[str]]:
    """A colon after the last slash begins the tag; one before it belongs to the host's port."""
    slash = text.rfind("/")
    colon = text.find(":", slash + 1)
    if colon < 0:
        return text, None
    return text[:colon], text[colon + 1 :]


def _split_host(name: str) -> tuple[str, str]:
    """The first component is a host if it looks like one: a dot, a port, ``localhost`` or capitals."""
    first, slash, rest = name.partition("/")
    looks_like_host = any(mark in first for mark in ".:[") or first == "localhost" or first.lower() != first
    if not slash or not looks_like_host:
        host, path = DEFAULT_HOST, name
    else:
        host, path = (DEFAULT_HOST if first == _LEGACY_HOST else first), rest
    if host == DEFAULT_HOST and "/" not in path:
        path = _OFFICIAL + path
    return host, path


def _check_path(path: str) -> None:
    if _PATH.fullmatch(path):
        return
    shown = path[len(_OFFICIAL) :] if path.startswith(_OFFICIAL) else path
    if path.lower() != path and _PATH.fullmatch(path.lower()):
        raise ValueError(f"{shown!r} has capitals, image names are lower case")
    raise ValueError(f"{shown!r} is not an image name (lower-case letters and digits, joined by '.', '_', '-' and '/')")


def _parse_digest(text: str) -> Digest:
    algorithm, _, value = text.partition(":")
    if algorithm != "sha256" or not _HEX_64.fullmatch(value):
        raise ValueError(f"{text!r} is not a digest of the form sha256:<64 lower-case hexadecimal digits>")
    return Digest(value)
