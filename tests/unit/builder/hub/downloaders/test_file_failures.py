"""What a failed request is taken for, and what a person reads of it."""

from __future__ import annotations

import ssl

import pytest
from urllib3 import exceptions

from bundler.builder.hub.downloaders.file_failures import ExpiredError, refused, translated
from bundler.builder.hub.retry import TransientError
from bundler.core.errors import DownloadError

SIGNED = "https://user:pw@cdn.example/lfs/x?Signature=secret&Expires=1"


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 599])
def test_a_busy_server_is_asked_again(status: int) -> None:
    error = refused(status, {"Retry-After": "7"}, SIGNED, expires=False)
    assert isinstance(error, TransientError)
    assert error.retry_after_s == 7
    assert f"HTTP {status}" in str(error)


@pytest.mark.parametrize("status", [400, 401, 403])
def test_what_a_signed_address_refuses_has_expired(status: int) -> None:
    assert isinstance(refused(status, {}, SIGNED, expires=True), ExpiredError)
    assert isinstance(refused(status, {}, SIGNED, expires=False), DownloadError)


@pytest.mark.parametrize(
    ("status", "code", "told"),
    [
        (401, "", "wants to know who asks"),
        (403, "GatedRepo", "gated"),
        (404, "EntryNotFound", "not there"),
        (404, "", "not there"),
        (407, "", "the proxy wants to know"),
        (410, "", "any more"),
        (418, "", "HTTP 418"),
    ],
)
def test_a_refusal_says_what_to_do_and_keeps_secrets(status: int, code: str, told: str) -> None:
    error = refused(status, {"X-Error-Code": code}, SIGNED, expires=False)
    assert isinstance(error, DownloadError)
    assert told in error.what
    assert error.remedy
    assert "secret" not in str(error)
    assert "pw" not in str(error)
    assert error.where == "https://cdn.example/lfs/x"


def test_a_shorter_file_is_told() -> None:
    assert "shorter" in str(refused(416, {}, SIGNED, expires=True))


@pytest.mark.parametrize(
    ("raised", "told"),
    [
        (exceptions.NameResolutionError("cdn.example", None, OSError()), "the name cdn.example is not found"),  # type: ignore[arg-type]  # only printed
        (exceptions.ConnectTimeoutError(), "no connection to cdn.example in 20 s"),
        (exceptions.ReadTimeoutError(None, "", ""), "not a byte from cdn.example in 20 s"),  # type: ignore[arg-type]  # only printed
        (
            exceptions.ProtocolError("x", ConnectionResetError(104, "Connection reset by peer")),
            "broke the connection off (Connection reset by peer)",
        ),
        (exceptions.ProtocolError("x", exceptions.IncompleteRead(5, 1000)), "1,000 bytes were still to come"),
        (exceptions.SSLError(ssl.SSLEOFError(8, "EOF occurred")), "TLS with cdn.example broke off"),
        (OSError(113, "No route to host"), "No route to host"),
    ],
)
def test_a_line_that_fails_may_work_again(raised: Exception, told: str) -> None:
    with pytest.raises(TransientError) as caught, translated(SIGNED, 20, None):
        raise raised
    assert told in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("cause", "kind", "told"),
    [
        ("Tunnel connection failed: 407 Proxy Authentication Required", DownloadError, "proxy wants to know who asks"),
        ("Tunnel connection failed: 403 Forbidden", DownloadError, "the proxy forbids it"),
        ("Tunnel connection failed: 502 Bad Gateway", TransientError, "502"),
    ],
)
def test_a_proxy_is_named_without_its_password(cause: str, kind: type[Exception], told: str) -> None:
    error = exceptions.ProxyError("Unable to connect to proxy", OSError(cause))
    with pytest.raises(kind) as caught, translated(SIGNED, 20, "http://ann:pass@proxy.corp:3128"):
        raise error
    assert told in str(caught.value)
    assert "pass" not in str(caught.value)
