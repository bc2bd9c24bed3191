"""What a failed request means: worth another attempt or not, in a sentence that says what happened.

RFC 9110 for the statuses and ``Retry-After``; ``X-Error-Code`` is the Hub's (``docs/hub-facts.md``).
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import urlsplit

from urllib3 import exceptions

from bundler.builder.hub.downloaders.proxies import told
from bundler.builder.hub.retry import TransientError
from bundler.builder.hub.retry_after import retry_after_s
from bundler.builder.hub.tls import presented_issuer
from bundler.core.errors import DownloadError

_PASSING = frozenset({408, 425, 429})
#: How the keepers of signed addresses say that one has expired.
EXPIRED = frozenset({400, 401, 403})
_BY_CODE = {
    "GatedRepo": ("the repo is gated", "accept its terms on its page, then give a token by HF_TOKEN"),
    "RepoNotFound": ("there is no such repo, or the token may not see it", "check the spelling and HF_TOKEN"),
    "RevisionNotFound": ("the repo has no such commit any more", "move the lock on: bundler lock --upgrade"),
    "EntryNotFound": ("the locked file is not there", "move the lock on: bundler lock --upgrade"),
}
_BY_STATUS = {
    401: ("the server wants to know who asks (HTTP 401)", "give a token or user that may read it"),
    403: ("reading is not allowed (HTTP 403)", "give a token that may read it, and accept the terms that it has"),
    404: ("the file is not there (HTTP 404)", "check the address, or take another source"),
    407: ("the proxy wants to know who asks (HTTP 407)", "name it as http://USER:PASSWORD@HOST:PORT in HTTPS_PROXY"),
    410: ("the file is not there any more (HTTP 410)", "take another source"),
}


class ExpiredError(TransientError):
    """A signed address opens nothing any more; its source has another one."""


def refused(status: int, headers: Mapping[str, str], url: str, *, expires: bool) -> Exception:
    """The error for an answer that is no success; ``expires`` says that the address was a signed one."""
    host = urlsplit(url).hostname
    if status in _PASSING or status >= 500:
        mood = "asks for patience" if status in _PASSING else "is busy or broken"
        return TransientError(f"{host} {mood} (HTTP {status})", retry_after_s(headers))
    if status == 416:
        return TransientError(f"{host} has a shorter file than the locked one (HTTP 416)")
    if expires and status in EXPIRED:
        return ExpiredError(f"{host} says that its signed address has expired (HTTP {status})")
    unknown = f"{host} refuses (HTTP {status})", "check the address, or take another source"
    what, remedy = _BY_CODE.get(headers.get("X-Error-Code", ""), _BY_STATUS.get(status, unknown))
    return DownloadError(what, where=told(url), remedy=remedy)


@contextmanager
def translated(url: str, timeout_s: float, proxy: str | None) -> Iterator[None]:
    """Everything that urllib3 raises about an address, as TransientError or DownloadError."""
    try:
        yield
    except exceptions.HTTPError as error:
        raise _of(error, url, timeout_s, proxy) from error
    except OSError as error:
        raise TransientError(f"{urlsplit(url).hostname}: {error.strerror or error}") from error


_TOLD: tuple[tuple[type[Exception], str], ...] = (
    (exceptions.NameResolutionError, "the name {host} is not found (DNS)"),
    (exceptions.NewConnectionError, "no connection to {host} ({cause})"),
    (exceptions.ConnectTimeoutError, "no connection to {host} in {timeout_s:g} s"),
    (exceptions.ReadTimeoutError, "not a byte from {host} in {timeout_s:g} s"),
    (exceptions.ProtocolError, "{host} broke the connection off ({cause})"),
    (exceptions.HTTPError, "{host}: {cause}"),
)


def _of(error: exceptions.HTTPError, url: str, timeout_s: float, proxy: str | None) -> Exception:
    if isinstance(error, exceptions.ProxyError):
        return _of_proxy(error, proxy or "", timeout_s)
    if isinstance(error, exceptions.SSLError):
        return _of_tls(error, url)
    if isinstance(error, exceptions.LocationValueError):
        return DownloadError("that is not an address", where=told(url), remedy="check what was named")
    text = next(text for kind, text in _TOLD if isinstance(error, kind))
    return TransientError(text.format(host=urlsplit(url).hostname, timeout_s=timeout_s, cause=_cause(error)))


def _of_tls(error: exceptions.SSLError, url: str) -> Exception:
    inner = error.args[0] if error.args else None
    if not isinstance(inner, ssl.SSLCertVerificationError):
        return TransientError(f"TLS with {urlsplit(url).hostname} broke off ({_cause(error)})")
    issuer = presented_issuer(url)
    signed = f", which {issuer} signed" if issuer else ""
    return DownloadError(
        f"the certificate of {urlsplit(url).hostname}{signed}, is not trusted: {inner.verify_message}",
        where=told(url),
        remedy="if that is your company's authority, give its certificate by --ca-bundle FILE; if not, trust nothing here",
    )


def _of_proxy(error: exceptions.ProxyError, proxy: str, timeout_s: float) -> Exception:
    name, cause = told(proxy).rstrip("/"), str(error.original_error)
    for status in (407, 403):
        if f" {status} " in f" {cause} ":
            what, remedy = (
                _BY_STATUS[status] if status == 407 else (f"the proxy forbids it (HTTP {status})", "ask its keepers")
            )
            return DownloadError(what, where=name, remedy=remedy)
    if isinstance(error.original_error, exceptions.HTTPError):
        inner = _of(error.original_error, proxy, timeout_s, None)
        return TransientError(f"the proxy: {inner}")
    return TransientError(f"the proxy {name}: {cause}")


def _cause(error: BaseException) -> str:
    """The innermost reason, in the system's own words."""
    while True:
        inner = error.__cause__ or next((each for each in reversed(error.args) if isinstance(each, Exception)), None)
        if inner is None or inner is error:
            break
        error = inner
    if isinstance(error, exceptions.IncompleteRead):
        return f"{error.expected:,} bytes were still to come"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split()) or type(error).__name__
