"""Which certificate authorities are trusted: the usual ones, those of the environment, and one more."""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from pathlib import Path

import certifi

from bundler.core.errors import PreconditionError

_OF_REQUESTS = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_OF_OPENSSL = ("SSL_CERT_FILE", "SSL_CERT_DIR")


def trusting(ca_bundle: Path | None, environment: Mapping[str, str] = os.environ) -> ssl.SSLContext:
    """A client's TLS context; raises PreconditionError where a file of certificates cannot be used.

    ``SSL_CERT_FILE`` and ``SSL_CERT_DIR`` stand in the place of the system's authorities (that is OpenSSL's own rule);
    ``REQUESTS_CA_BUNDLE`` and ``ca_bundle`` are trusted beside them.
    """
    context = ssl.create_default_context()
    named = [environment[name] for name in _OF_REQUESTS if environment.get(name)][:1]
    if not named and not any(environment.get(name) for name in _OF_OPENSSL):
        context.load_verify_locations(certifi.where())  # for systems that have none of their own
    for place in [*named, *([str(ca_bundle)] if ca_bundle else [])]:
        _add(context, place)
    return context


def _add(context: ssl.SSLContext, place: str) -> None:
    try:
        if Path(place).is_dir():
            context.load_verify_locations(capath=place)
        else:
            context.load_verify_locations(cafile=place)
    except (OSError, ssl.SSLError) as error:
        raise PreconditionError(
            f"the CA bundle cannot be used: {error}", where=place, remedy="give a file of certificates in PEM form"
        ) from error
