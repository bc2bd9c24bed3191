"""How a registry is reached: TLS with a company's authority, headers, tries, and errors that say what to do."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Optional

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from urllib3.exceptions import HTTPError
from urllib3.util import Retry

from bundler.core.errors import EngineError, PreconditionError


class Authorization(AuthBase):
    """The header of this client, and never one out of a ``.netrc``."""

    def __init__(self, value: Optional[str]) -> None:
        self._value = value

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Set the header on a request that is about to be sent."""
        if self._value:
            request.headers["Authorization"] = self._value
        return request


class TrustingAdapter(HTTPAdapter):
    """TLS that trusts ``ca_bundle`` beside what is trusted anyway, whatever the environment's variables say."""

    def __init__(self, ca_bundle: Optional[str], retries: Retry) -> None:
        self._more: dict[str, Any] = {"ssl_context": _context(ca_bundle)} if ca_bundle else {}
        super().__init__(max_retries=retries)

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 - urllib3's own
        """Connections without a proxy."""
        super().init_poolmanager(*arguments, **{**options, **self._more})

    def proxy_manager_for(self, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - urllib3's own
        """Connections through a proxy."""
        return super().proxy_manager_for(*arguments, **{**options, **self._more})


def _context(ca_bundle: str) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context()
        context.load_verify_locations(ca_bundle)
    except (OSError, ssl.SSLError) as error:
        raise PreconditionError(
            f"the CA bundle cannot be used: {error}", where=ca_bundle, remedy="give a file of certificates in PEM form"
        ) from error
    return context


def retries() -> Retry:
    """A few more tries for what is over in a moment."""
    return Retry(
        total=3,
        backoff_factor=0.3,
        status_forcelist=(429, 502, 503, 504),
        allowed_methods=("GET", "HEAD"),
        raise_on_status=False,
    )


@contextmanager
def reached(where: str) -> Iterator[None]:
    """Errors of the transport as EngineError."""
    try:
        yield
    except requests.exceptions.SSLError as error:
        remedy = "give the registry's certificate authority with --ca-bundle; plain HTTP has to be allowed expressly"
        raise EngineError(f"no trusted TLS with the registry: {error}", where=where, remedy=remedy) from error
    except (requests.RequestException, HTTPError, OSError) as error:
        remedy = "look at the address, the network and the proxy (HTTPS_PROXY, NO_PROXY), then try again"
        raise EngineError(f"the registry does not answer as it should: {error}", where=where, remedy=remedy) from error
