"""Opening an address for its bytes: redirects, tokens, proxies, authorities; errors that say what happened.

Redirects are followed here, since what a source's headers hold goes to its own origin alone: on another one neither a
token nor anything else of them is sent, and no cookie is ever kept.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import urllib3
from urllib3.response import BaseHTTPResponse

from bundler.builder.hub.downloaders.file_failures import refused, translated
from bundler.builder.hub.downloaders.proxies import is_signed, proxy_for, proxy_headers, same_origin, told
from bundler.builder.hub.downloaders.trust import trusting
from bundler.builder.hub.retry import RetryPolicy
from bundler.builder.hub.source import HttpFile
from bundler.core.errors import DownloadError

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_LONGEST_CHAIN = 10
_SHORT_BODY = 64 << 10
#: The bytes are wanted as they stand; an answer that was compressed on the way would be of another length.
_OURS = {"Accept-Encoding": "identity", "User-Agent": "bundler"}


class Answer:
    """A server's answer whose body is still to be read. ``url`` is where it came from in the end."""

    def __init__(self, response: BaseHTTPResponse, url: str, proxy: str | None, timeout_s: float) -> None:
        self.url = url
        self.status = response.status
        self.headers = response.headers
        self._response = response
        self._proxy = proxy
        self._timeout_s = timeout_s
        self._socket = _handle(response)

    @property
    def etag(self) -> str | None:
        """The entity tag, as it was sent."""
        return self.headers.get("ETag")

    @property
    def length(self) -> int | None:
        """Bytes of the body; None where the server does not say."""
        value = self.headers.get("Content-Length", "")
        return int(value) if value.isdigit() else None

    @property
    def encoding(self) -> str | None:
        """How the body was encoded, although nothing but the bytes as they stand was asked for."""
        value = self.headers.get("Content-Encoding", "").strip().lower()
        return None if value in ("", "identity") else value

    def read(self, size: int, *, decoded: bool = False) -> bytes:
        """What has come, at least one byte and at most ``size``; b"" at the end of the body. Raises TransientError."""
        with translated(self.url, self._timeout_s, self._proxy):
            return self._response.read1(size, decode_content=decoded)

    def close(self) -> None:
        """Give the connection back if the body was read to its end, else end it."""
        with suppress(OSError, urllib3.exceptions.HTTPError):
            self._response.close()
            self._response.release_conn()
        if self._socket is not None:
            self._socket.close()

    def drain(self) -> None:
        """Be done with a short body that says nothing, so that the connection can be used again."""
        if self.length is not None and self.length <= _SHORT_BODY:
            with suppress(OSError, urllib3.exceptions.HTTPError):
                self._response.drain_conn()
        self.close()

    def abort(self) -> None:
        """From another thread: let whoever reads this answer fail now."""
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)


class Http:
    """A client for bytes, safe for many threads; connections are kept and used again."""

    def __init__(self, policy: RetryPolicy, connections: int, ca_bundle: Path | None = None) -> None:
        self._timeout_s = policy.timeout_s
        self._connections = connections
        self._context = trusting(ca_bundle)
        self._managers: dict[str | None, urllib3.PoolManager] = {}
        self._lock = threading.Lock()

    def open(self, remote: HttpFile, more: dict[str, str] | None = None, known: str | None = None) -> Answer:
        """Ask for the file; ``more`` are headers of this request, ``known`` is where redirects have led to before.

        The answer has status 200 or 206. Raises TransientError and DownloadError.
        """
        url = known or remote.url
        for _ in range(_LONGEST_CHAIN):
            answer = self._request(url, {**self._own(remote, url), **_OURS, **(more or {})})
            if answer.status not in _REDIRECTS:
                return self._accepted(answer, remote)
            url = self._next(answer)
        raise DownloadError(
            f"the server redirects more than {_LONGEST_CHAIN} times, perhaps in a circle",
            where=told(remote.url),
            remedy="look at that address with a browser or curl; check --endpoint and the proxy",
        )

    def first(self, remote: HttpFile) -> Mapping[str, str]:
        """The headers of the first answer, be it a redirect; raises TransientError and DownloadError."""
        answer = self._request(remote.url, {**self._own(remote, remote.url), **_OURS, "Range": "bytes=0-0"})
        if answer.status not in _REDIRECTS:
            self._accepted(answer, remote)
        answer.drain()
        return answer.headers

    def _accepted(self, answer: Answer, remote: HttpFile) -> Answer:
        if answer.status in (200, 206):
            return answer
        answer.close()
        expires = remote.signed or not same_origin(remote.url, answer.url) or is_signed(answer.url)
        raise refused(answer.status, answer.headers, answer.url, expires=expires)

    def _own(self, remote: HttpFile, url: str) -> dict[str, str]:
        """The source's headers, for its own origin alone. It alone knows who gets what, a ``.netrc`` included."""
        return dict(remote.headers) if same_origin(remote.url, url) else {}

    def _next(self, answer: Answer) -> str:
        location = answer.headers.get("Location", "")
        answer.drain()
        url = urljoin(answer.url, location)
        if not location or urlsplit(url).scheme not in ("http", "https"):
            raise DownloadError(
                "the server redirects to nowhere", where=told(answer.url), remedy="check --endpoint and the address"
            )
        return url

    def _request(self, url: str, headers: dict[str, str]) -> Answer:
        proxy = proxy_for(url)
        bare = url.replace(f"{urlsplit(url).netloc.rpartition('@')[0]}@", "", 1) if "@" in urlsplit(url).netloc else url
        with translated(url, self._timeout_s, proxy):
            response = self._manager(proxy).request(
                "GET",
                bare,
                headers={name.title(): value for name, value in headers.items()},
                redirect=False,
                retries=False,
                preload_content=False,
                decode_content=False,
                timeout=self._timeout_s,
            )
        return Answer(response, url, proxy, self._timeout_s)

    def _manager(self, proxy: str | None) -> urllib3.PoolManager:
        with self._lock:
            if proxy not in self._managers:
                options = {"ssl_context": self._context, "maxsize": self._connections}
                self._managers[proxy] = (
                    urllib3.PoolManager(**options)  # type: ignore[arg-type]
                    if proxy is None
                    else urllib3.ProxyManager(proxy, proxy_headers=proxy_headers(proxy), **options)  # type: ignore[arg-type]
                )
            return self._managers[proxy]


def _handle(response: BaseHTTPResponse) -> socket.socket | None:
    """The connection under another descriptor, so that it can be shut down while a thread waits for its bytes."""
    with suppress(OSError, ValueError, AttributeError):
        return socket.socket(fileno=os.dup(response.fileno()))
    return None
