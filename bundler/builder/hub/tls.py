"""Which authority a server's certificate names, for a message about one that is not trusted."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from http.client import HTTPException, HTTPSConnection
from urllib.parse import urlsplit

from bundler.builder.hub.proxies import proxy_headers

_TIMEOUT_S = 10.0
_SEQUENCE, _SET, _EXPLICIT_0 = 0x30, 0x31, 0xA0
#: Object identifiers of names in a certificate (RFC 5280, appendix A.1), as they are encoded.
_COMMON_NAME, _ORGANISATION, _UNIT = b"\x55\x04\x03", b"\x55\x04\x0a", b"\x55\x04\x0b"


def presented_issuer(url: str, proxy: str | None = None) -> str:
    """The issuer of the certificate that the server at ``url`` presents; asked anew, and trusted with nothing.

    ``proxy`` is the address of an HTTP proxy on the way. Gives "unknown" where the server does not say.
    """
    try:
        return issuer_of(_certificate(url, proxy)) or "unknown"
    except (OSError, HTTPException, ValueError, IndexError):
        return "unknown"


def issuer_of(certificate: bytes) -> str:
    """Common name and organisation of the issuer in a certificate of DER form; raises ValueError, IndexError."""
    tbs = _content(next(_items(_content(certificate))))
    fields = [item for item in _items(tbs) if item[0] != _EXPLICIT_0]  # without the version
    names = dict(_names(fields[2]))  # after the serial number and the signature's algorithm
    found = [names[oid] for oid in (_COMMON_NAME, _ORGANISATION, _UNIT) if oid in names]
    return ", ".join(dict.fromkeys(found))


def _certificate(url: str, proxy: str | None) -> bytes:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # only its name is read; nothing is sent to the server
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or 443
    if proxy is None:
        connection = HTTPSConnection(host, port, timeout=_TIMEOUT_S, context=context)
    else:
        way = urlsplit(proxy)
        connection = HTTPSConnection(way.hostname or "", way.port or 80, timeout=_TIMEOUT_S, context=context)
        connection.set_tunnel(host, port, proxy_headers(proxy))
    try:
        connection.connect()
        presented = connection.sock.getpeercert(binary_form=True)
    finally:
        connection.close()
    if not presented:
        raise ValueError("no certificate")
    return bytes(presented)


def _names(name: bytes) -> Iterator[tuple[bytes, str]]:
    """Types and values of a Name: a sequence of sets of pairs."""
    for relative in _items(_content(name)):
        for pair in _items(_content(relative)):
            kind, value = list(_items(_content(pair)))[:2]
            yield _content(kind), _content(value).decode("utf-8", "replace")


def _items(content: bytes) -> Iterator[bytes]:
    """The items of DER one after the other, each with its head."""
    at = 0
    while at < len(content):
        start, size = _head(content, at)
        yield content[at : start + size]
        at = start + size


def _content(item: bytes) -> bytes:
    start, size = _head(item, 0)
    return item[start : start + size]


def _head(content: bytes, at: int) -> tuple[int, int]:
    """Where an item's content starts, and its length (X.690, 8.1.3)."""
    first = content[at + 1]
    if first < 0x80:
        return at + 2, first
    count = first & 0x7F
    size = int.from_bytes(content[at + 2 : at + 2 + count], "big")
    return at + 2 + count, size
