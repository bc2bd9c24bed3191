"""The record of requests. Values of credentials are never kept: their sha256 tells whose they were."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass
from typing import Optional


@dataclass
class Seen:
    """One request as it came in, and what became of it: ``sent`` counts the bytes of the body that left.

    ``authorization`` and ``cookie`` are `fingerprint`s of those headers' values.
    """

    server: str  # "hub" or "cdn"
    method: str
    path: str
    query: str
    range: Optional[str]
    authorized: bool
    status: int = 0
    sent: int = 0
    authorization: Optional[str] = None
    cookie: Optional[str] = None
    user_agent: str = ""


def fingerprint(value: str | None) -> str | None:
    """The sha256 of a header's value, or None where it did not come."""
    return None if value is None else hashlib.sha256(value.encode("utf-8", "surrogateescape")).hexdigest()


class Record:
    """All requests so far; safe for many threads."""

    def __init__(self) -> None:
        self._seen: list[Seen] = []
        self._lock = threading.Lock()

    def add(self, seen: Seen) -> None:
        """Note a request; the handler goes on to fill in status and bytes."""
        with self._lock:
            self._seen.append(seen)

    def found(self, path: str, method: str | None, server: str | None) -> list[Seen]:
        """The requests whose path contains ``path``, the earliest first."""
        with self._lock:
            found = [seen for seen in self._seen if path in seen.path]
        return [seen for seen in found if method in (None, seen.method) and server in (None, seen.server)]

    def clear(self) -> None:
        """Begin anew."""
        with self._lock:
            self._seen.clear()
