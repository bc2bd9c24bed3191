"""Stands in the loader under the name ``certifi``: TLS trusts what this host trusts, as Debian's own package does it.

A list of public authorities would be old by the time a bundle arrives, lacks a company's own, and would have to be
unpacked from the archive to a disk before OpenSSL could read it.
"""

from __future__ import annotations

import os
import ssl

_PLACES = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Ubuntu, Alpine
    "/etc/pki/tls/certs/ca-bundle.crt",  # RHEL and its kin
    "/etc/ssl/ca-bundle.pem",  # SUSE
)


def where() -> str:
    """The host's file of trusted certificates; a path that may not exist where there is none (requests says so)."""
    own = ssl.get_default_verify_paths().cafile  # heeds SSL_CERT_FILE
    return own or next((path for path in _PLACES if os.path.exists(path)), _PLACES[0])  # noqa: PTH110 (certifi's form)


def contents() -> str:
    """The certificates themselves, in PEM."""
    with open(where(), encoding="ascii", errors="ignore") as file:  # noqa: PTH123 (certifi's form)
        return file.read()
