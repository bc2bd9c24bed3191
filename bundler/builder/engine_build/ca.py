"""A company's certificate authority inside build steps: a file, and the variables that lead programs to it."""

from __future__ import annotations

import os
import re
import ssl
from pathlib import Path

from requests.utils import DEFAULT_CA_BUNDLE_PATH

from bundler.builder.engine_build.values import PRIVATE_DIRECTORY
from bundler.core.errors import PreconditionError

CA_FILE = PRIVATE_DIRECTORY / "ca.pem"
APT_FILE = PRIVATE_DIRECTORY / "apt.conf"
_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)

#: Programs and libraries, each by the variable that it documents.
VARIABLES = {
    "APT_CONFIG": str(APT_FILE),
    "AWS_CA_BUNDLE": str(CA_FILE),
    "CARGO_HTTP_CAINFO": str(CA_FILE),
    "CURL_CA_BUNDLE": str(CA_FILE),
    "GIT_SSL_CAINFO": str(CA_FILE),
    "NODE_EXTRA_CA_CERTS": str(CA_FILE),
    "PIP_CERT": str(CA_FILE),
    "REQUESTS_CA_BUNDLE": str(CA_FILE),
    "SSL_CERT_FILE": str(CA_FILE),
}


def private_files(ca_bundle: Path) -> dict[str, bytes]:
    """Files of the private directory, by path relative to the root: public authorities and those of ``ca_bundle``.

    Most of the variables replace a program's own list, so the file holds the public ones too. Raises
    PreconditionError where ``ca_bundle`` is not a file of PEM certificates.
    """
    own = _certificates(ca_bundle)
    public = _CERTIFICATE.findall(Path(_system_file() or DEFAULT_CA_BUNDLE_PATH).read_text(encoding="utf-8"))
    bundle = "\n".join(dict.fromkeys([*public, *own])) + "\n"
    apt = f'Acquire::https::CAInfo "{CA_FILE}";\n'
    return {str(CA_FILE).lstrip("/"): bundle.encode(), str(APT_FILE).lstrip("/"): apt.encode()}


def _system_file() -> str | None:
    """The list of this host's distribution, whatever the environment says."""
    path = ssl.get_default_verify_paths().openssl_cafile
    return path if path and os.access(path, os.R_OK) else None


def _certificates(path: Path) -> list[str]:
    remedy = "give a file of certificates in PEM form, -----BEGIN CERTIFICATE----- and so on"
    try:
        found = _CERTIFICATE.findall(path.read_text(encoding="utf-8", errors="replace"))
    except OSError as error:
        what = f"the CA bundle cannot be read: {error.strerror}"
        raise PreconditionError(what, where=str(path), remedy=remedy) from error
    if not found:
        raise PreconditionError("the CA bundle holds no certificate", where=str(path), remedy=remedy)
    try:
        ssl.create_default_context(cadata="\n".join(found))
    except ssl.SSLError as error:
        what = f"the CA bundle holds something that is not a certificate: {error.reason or error}"
        raise PreconditionError(what, where=str(path), remedy=remedy) from error
    return list(found)
