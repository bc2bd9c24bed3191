"""Where a file is read now: the address that a source named, or what it redirects to, remembered while that holds."""

from __future__ import annotations

import threading

from bundler.builder.hub.downloaders.file_failures import ExpiredError
from bundler.builder.hub.downloaders.http import Answer, Http
from bundler.builder.hub.downloaders.proxies import told
from bundler.builder.hub.retry import TransientError
from bundler.builder.hub.source import HttpFile
from bundler.core.errors import DownloadError


class Place:
    """One file's address, for many connections. A redirect is asked for once and anew when what it named fails."""

    def __init__(self, http: Http, remote: HttpFile) -> None:
        self._http = http
        self._remote = remote
        self._known: str | None = None
        self._lock = threading.Lock()

    def open(self, headers: dict[str, str]) -> Answer:
        """An answer of status 200 or 206; raises TransientError and DownloadError."""
        known = self._known
        if known is not None:
            try:
                return self._http.open(self._remote, headers, known)
            except (ExpiredError, DownloadError):
                self._forget(known)  # the source knows a new one, or says what else is wrong
            except TransientError:
                self._forget(known)
                raise
        answer = self._http.open(self._remote, headers)
        if answer.url != self._remote.url:
            self._known = answer.url
        return answer

    def _forget(self, known: str) -> None:
        with self._lock:
            if self._known == known:
                self._known = None

    def __repr__(self) -> str:
        return f"Place({told(self._remote.url)})"
