"""How long a server asks to wait, and what an answer means that is none of the Hub's own."""

from __future__ import annotations

import httpx2
import pytest

from bundler.builder.hub.retry import TransientError
from bundler.builder.hub.retry_after import retry_after_s
from bundler.builder.hub.sources.document_failures import Asked, document, of_answer, translated
from bundler.builder.hub.sources.endpoints import HUB
from bundler.core.errors import DownloadError

NOON = "Thu, 26 Nov 2026 12:00:00 GMT"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("7", 7), ("Thu, 26 Nov 2026 12:02:00 GMT", 120), (NOON, 0), ("Thu, 26 Nov 2026 11:00:00 GMT", 0)],
)
def test_retry_after_in_seconds_and_as_a_date_of_the_servers_clock(value: str, seconds: float) -> None:
    assert retry_after_s({"Retry-After": value, "Date": NOON}) == seconds


@pytest.mark.parametrize("value", ["", "soon", "-1", "1.5"])
def test_what_is_no_time_to_wait(value: str) -> None:
    assert retry_after_s({"Retry-After": value}) is None


def answer(status: int, **headers: str) -> httpx2.Response:
    return httpx2.Response(status, headers=headers, request=httpx2.Request("GET", "https://h.example/x?Signature=hush"))


def refusal(response: httpx2.Response, asked: Asked) -> str:
    error = of_answer(response, asked)
    assert isinstance(error, DownloadError)
    assert "hush" not in str(error)
    return str(error)


def test_the_hub_answers_401_for_what_is_not_there() -> None:
    assert "there is no such repo" in refusal(answer(401), Asked("w", HUB, "a/b"))
    assert "HF_TOKEN" in refusal(answer(401), Asked("w", HUB, "a/b"))


def test_a_mirror_that_wants_a_password() -> None:
    told = refusal(answer(401), Asked("w", "https://m.example", "a/b"))
    assert "wants to know who asks" in told
    assert "--endpoint-token https://m.example=FILE" in told
    assert "HF_TOKEN" not in told


def test_other_refusals() -> None:
    assert "forbids" in refusal(answer(403), Asked("w", HUB, "a/b"))
    assert "HTTP 418" in refusal(answer(418), Asked("w", HUB, "a/b"))
    disabled = answer(403, **{"X-Error-Message": "Access to this resource is disabled."})
    assert "disabled this repo" in refusal(disabled, Asked("w", HUB, "a/b"))


def test_a_sign_in_page_and_a_cut_document() -> None:
    page = httpx2.Response(200, headers={"Content-Type": "text/html"}, text="<html>")
    with pytest.raises(TransientError, match="a web page came"):
        document(page, dict)
    with pytest.raises(TransientError, match="cut off"):
        document(httpx2.Response(200, text='{"id": '), dict)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (httpx2.TooManyRedirects("x"), "in a circle"),
        (httpx2.ProxyError("407 Proxy Authentication Required"), "proxy wants to know"),
        (httpx2.UnsupportedProtocol("x"), "no address"),
        (KeyError("id"), "not answer as the Hub"),
    ],
)
def test_what_will_not_pass(error: Exception, told: str) -> None:
    with pytest.raises(DownloadError, match=told), translated(Asked("w", "https://m.example")):
        raise error


@pytest.mark.parametrize(
    "error",
    [httpx2.ProxyError("503"), httpx2.DecodingError("x"), httpx2.RemoteProtocolError("x"), httpx2.ReadTimeout("x")],
)
def test_what_may_pass(error: Exception) -> None:
    with pytest.raises(TransientError), translated(Asked("w", "https://m.example")):
        raise error


def test_a_full_disk_passes_through() -> None:
    with pytest.raises(OSError, match="No space"), translated(Asked("w", "https://m.example")):
        raise OSError(28, "No space left on device")
