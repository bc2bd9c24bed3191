"""What goes wrong between us and a server of the Hub's protocol, in our own words.

Everything that huggingface_hub and httpx2 raise is translated here: into TransientError where another attempt may
help, into DownloadError with a sentence that says what to do where it cannot. No sentence repeats an address that
may be signed, and none a header.
"""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx2
from huggingface_hub import errors as hub_errors

from bundler.builder.hub.retry import TransientError
from bundler.builder.hub.retry_after import retry_after_s
from bundler.builder.hub.sources.endpoints import HUB
from bundler.builder.hub.tls import presented_issuer
from bundler.core.errors import DownloadError

Document = TypeVar("Document", dict[str, Any], list[Any])
TRANSIENT_STATUS = frozenset({408, 425, 429})
_REASON = re.compile(r"certificate verify failed: (.*?)(?: \(_ssl\.c:\d+\))?\Z")

_TOLD = (
    (httpx2.ConnectTimeout, "no connection to {host} in time"),
    (httpx2.TimeoutException, "{host} sent nothing in time"),
    (httpx2.ConnectError, "no connection to {host}: {error}"),
    (httpx2.RequestError, "the connection to {host} broke: {error}"),
)


@dataclass(frozen=True)
class Asked:
    """What a request was about, for the sentences: the server, the repo, and whether it was shown a token."""

    where: str
    endpoint: str
    repo: str = ""
    revision: str = ""
    known: bool = False

    @property
    def how_to_be_known(self) -> str:
        """How that server is given a token."""
        if self.endpoint == HUB:
            return "give a token of an account that may read it, by HF_TOKEN, `hf auth login` or --token-file FILE"
        return f"give what that server wants, by --endpoint-token {self.endpoint}=FILE or ~/.netrc"


@contextmanager
def translated(asked: Asked) -> Iterator[None]:
    """Errors of the block as TransientError or DownloadError; a full disk passes through."""
    try:
        yield
    except (hub_errors.HfHubHTTPError, httpx2.HTTPStatusError) as error:
        raise of_answer(error.response, asked) from error
    except hub_errors.OfflineModeIsEnabled as error:
        remedy = "unset HF_HUB_OFFLINE (and TRANSFORMERS_OFFLINE) for this command"
        raise DownloadError("the Hub's client is told not to ask anybody", where=asked.where, remedy=remedy) from error
    except (httpx2.UnsupportedProtocol, httpx2.InvalidURL, hub_errors.HFValidationError) as error:
        remedy = "check --endpoint, HF_ENDPOINT and the recipe"
        raise DownloadError(
            "this is no address or repo id that can be asked for", where=asked.where, remedy=remedy
        ) from error
    except httpx2.TooManyRedirects as error:
        remedy = "check the address of the endpoint, or ask another one"
        raise DownloadError("the server redirects in a circle", where=asked.where, remedy=remedy) from error
    except httpx2.RequestError as error:
        raise _of_transport(error, asked) from error
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        remedy = "check the address of the endpoint, or ask another one"
        raise DownloadError("the server does not answer as the Hub does", where=asked.where, remedy=remedy) from error


def of_answer(response: httpx2.Response, asked: Asked) -> Exception:
    """What an answer with an error's status means, to be raised."""
    status = response.status_code
    if status in TRANSIENT_STATUS or status >= 500:
        return TransientError(f"HTTP {status} from {_host(response)}", retry_after_s(response.headers))
    what, remedy = _refusal(status, response.headers.get("X-Error-Code", ""), response.headers, asked)
    return DownloadError(what, where=asked.where, remedy=remedy)


def _refusal(status: int, code: str, headers: Mapping[str, str], asked: Asked) -> tuple[str, str]:  # noqa: PLR0911
    """The Hub's error codes are those that ``huggingface_hub.errors`` documents."""
    page = f"{HUB}/{asked.repo}"  # a mirror has no pages
    if code == "GatedRepo" and asked.known:
        remedy = f"ask for access at {page} with the account of the token, wait for it, then run this again"
        return "the repo is gated, and the account of the token was not given access", remedy
    if code == "GatedRepo":
        return "the repo is gated", f"accept its terms at {page}, then {asked.how_to_be_known}"
    if code == "RevisionNotFound":
        remedy = "name a branch, a tag or a commit of 40 digits that it has"
        return (
            f"the repo has no revision {asked.revision!r}" if asked.revision else "the repo lost that revision",
            remedy,
        )
    if code == "EntryNotFound":
        return "the locked file is not there", "move the lock on: bundler lock --upgrade"
    if "disabled" in headers.get("X-Error-Message", "").lower():
        return "the Hub has disabled this repo", f"look at {page} for the reason, and choose another model"
    if status == 401 and asked.known and code != "RepoNotFound":
        return "the server does not accept the token that it was given", f"make a new one, then {asked.how_to_be_known}"
    if code == "RepoNotFound" or status == 404:
        unseen = "or the token may not see it" if asked.known else "or it is private and no token was given"
        return f"there is no such repo, {unseen}", f"check the spelling; for a private repo {asked.how_to_be_known}"
    if status == 401:
        # The Hub answers so for a repo that is not there, to whom it does not know.
        unseen = "there is no such repo, or " if asked.endpoint == HUB else ""
        return f"{unseen}the server wants to know who asks (HTTP 401)", f"check the spelling; {asked.how_to_be_known}"
    if status == 403:
        return "the server forbids it (HTTP 403)", asked.how_to_be_known
    return f"the server refuses it (HTTP {status})", "check the address of the endpoint, or ask another one"


def document(response: httpx2.Response, kind: type[Document]) -> Document:
    """The JSON of an answer, a dict or a list; raises TransientError where a sign-in page or half of it came."""
    try:
        found = response.json()
    except ValueError as error:
        raise page_instead(response) or TransientError("the answer cannot be read, as if it were cut off") from error
    if not isinstance(found, kind):
        raise TypeError("another document was expected")
    return found


def page_instead(response: httpx2.Response) -> TransientError | None:
    """Most often the page of a network that wants a person to sign in first."""
    if "html" not in response.headers.get("Content-Type", "").lower():
        return None
    return TransientError("a web page came instead of an answer: a proxy or the network's sign-in page stands between")


def _of_transport(error: httpx2.RequestError, asked: Asked) -> Exception:
    url = str(error.request.url) if _has_request(error) else asked.endpoint
    host = httpx2.URL(url).netloc.decode("ascii")
    causes = list(_causes(error))
    if any(isinstance(cause, ssl.SSLError) for cause in causes) or "SSL" in str(error):
        return _of_tls(str(error), url, host, asked)
    if isinstance(error, httpx2.ProxyError):
        if "407" in str(error):
            remedy = "put a name and password into HTTPS_PROXY, in the environment"
            return DownloadError("the proxy wants to know who asks (HTTP 407)", where=asked.where, remedy=remedy)
        return TransientError(f"the proxy does not let through to {host}: {error}")
    if any(isinstance(cause, socket.gaierror) for cause in causes):
        return TransientError(f"the name {host} is not found (DNS)")
    told = next(text for kind, text in _TOLD if isinstance(error, kind))
    reasons = (cause.strerror for cause in causes if isinstance(cause, OSError) and cause.strerror)
    return TransientError(told.format(host=host, error=next(reasons, str(error)) or "no reason is told"))


def _of_tls(text: str, url: str, host: str, asked: Asked) -> Exception:
    if "CERTIFICATE_VERIFY_FAILED" not in text:
        if "WRONG_VERSION_NUMBER" in text:
            remedy = "check the address: http:// instead of https://, or another port"
            return DownloadError(f"{host} does not speak TLS there", where=asked.where, remedy=remedy)
        return TransientError(f"no TLS with {host}: {text}")
    reason = match[1] if (match := _REASON.search(text)) else text
    return untrusted(url, host, reason, asked.where)


def untrusted(url: str, host: str, reason: str, where: str) -> DownloadError:
    """A certificate that is not trusted: with the authority that signed it, which a company's network often replaces."""
    issuer = presented_issuer(url)
    told = f", which {issuer} signed" if issuer else ""
    remedy = "if that is your company's authority, give its certificate by --ca-bundle FILE; if not, trust nothing here"
    return DownloadError(f"the certificate of {host}{told}, is not trusted: {reason}", where=where, remedy=remedy)


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def _has_request(error: httpx2.RequestError) -> bool:
    try:
        return error.request is not None
    except RuntimeError:
        return False


def _host(response: httpx2.Response) -> str:
    return response.url.host
