"""Servers that speak the Hub's protocol: which ones are asked, in which order, and how they are called for people.

An address may carry a user's name and password only in the environment: what stands on a command line or in a recipe
is seen by others.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

from bundler.core.errors import UsageError

HUB = "https://huggingface.co"
_PORTS = {"https": 443, "http": 80}


@dataclass(frozen=True)
class Endpoint:
    """One server: its address without anything secret, which is its name too; ``login`` is a user and a password."""

    url: str
    login: tuple[str, str] | None = field(default=None, repr=False)


def endpoints_of(chosen: Sequence[str], environ: Mapping[str, str]) -> tuple[Endpoint, ...]:
    """Those of ``--endpoint``, else those of ``HF_ENDPOINT``, else the Hub; each once, in the order given.

    ``HF_ENDPOINT`` holds one address, or several between spaces or commas. Raises UsageError.
    """
    if chosen:
        found = [parse_endpoint(text, "--endpoint") for text in chosen]
    else:
        texts = [text for text in re.split(r"[\s,]+", environ.get("HF_ENDPOINT", "")) if text]
        found = [parse_endpoint(text, "HF_ENDPOINT", may_hold_login=True) for text in texts or [HUB]]
    first: dict[str, Endpoint] = {}
    for endpoint in found:
        first.setdefault(endpoint.url, endpoint)
    return tuple(first.values())


def parse_endpoint(text: str, where: str, *, may_hold_login: bool = False) -> Endpoint:
    """Read an address; raises UsageError, which never repeats one that holds a name or password."""
    parts = _split(text)
    if parts is not None and "@" in parts.netloc and not may_hold_login:
        raise UsageError(
            "an address with a name or password in it",
            where=where,
            remedy="put them into ~/.netrc (or the file that NETRC names), or set the whole address as HF_ENDPOINT",
        )
    if parts is None or parts.scheme not in _PORTS or not parts.hostname or parts.query or parts.fragment:
        shown = "what is given" if "@" in text else repr(text)
        raise UsageError(
            f"{shown} is not the address of a server", where=where, remedy="write https://HOST or http://HOST"
        )
    login, _, host = parts.netloc.rpartition("@")
    name, _, password = login.partition(":")
    url = urlunsplit((parts.scheme, host.lower(), parts.path.rstrip("/"), "", ""))
    return Endpoint(url, (unquote(name), unquote(password)) if login else None)


def origin_of(url: str) -> tuple[str, str, int] | None:
    """Scheme, host and port, which together decide who gets what is secret; None for what is no address of HTTP."""
    parts = _split(url)
    if parts is None or parts.scheme not in _PORTS or not parts.hostname:
        return None
    return parts.scheme, parts.hostname, parts.port or _PORTS[parts.scheme]


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:  # a port that is no number, half an IPv6 address
        return None
    return parts
