"""Which authority signed the certificate that a server presents: what a person needs to know to trust it, or not.

Networks of companies often open TLS and sign anew. Python's ``ssl`` tells nothing of a certificate that it does not
trust, so the issuer is read out of its DER form (RFC 5280, section 4.1; X.690).
"""

from __future__ import annotations

import base64
import http.client
import ssl
from collections.abc import Iterator
from contextlib import closing
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

_NAMES = {"2.5.4.3": "CN", "2.5.4.10": "O", "2.5.4.11": "OU", "2.5.4.6": "C"}
_SEQUENCE, _VERSION = 0x30, 0xA0
_UTF16 = 0x1E  # BMPString


def presented_issuer(url: str, timeout_s: float = 10.0) -> str | None:
    """The issuer of the certificate at ``url`` (through the environment's proxy), such as ``CN=Corp CA, O=Corp``.

    Nothing is asked of the server and nothing sent to it. None where no certificate can be had.
    """
    try:
        with closing(_connection(url, timeout_s)) as connection:
            connection.connect()
            certificate = connection.sock.getpeercert(binary_form=True)
        return issuer_of(certificate) if certificate else None
    except (OSError, http.client.HTTPException, ValueError):
        return None


def issuer_of(certificate: bytes) -> str:
    """The issuer's name out of a DER certificate; raises ValueError for what is none."""
    fields = [each for each in _values(_inside(_inside(certificate))) if each[0] != _VERSION]
    names = []
    for _, relative in _values(fields[2][1]):  # serial number, algorithm, issuer
        for _, pair in _values(relative):
            (_, kind), (tag, value) = list(_values(pair))[:2]
            if label := _NAMES.get(_dotted(kind)):
                names.append(f"{label}={value.decode('utf-16-be' if tag == _UTF16 else 'utf-8', errors='replace')}")
    return ", ".join(sorted(names, key=lambda name: list(_NAMES.values()).index(name.partition("=")[0])))


def _connection(url: str, timeout_s: float) -> http.client.HTTPSConnection:
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or 443
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # looked at, and nothing is said or believed
    proxy = None if proxy_bypass(host) else getproxies().get("https")
    if not proxy:
        return http.client.HTTPSConnection(host, port, timeout=timeout_s, context=context)
    through = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    connection = http.client.HTTPSConnection(through.hostname or "", through.port, timeout=timeout_s, context=context)
    login = f"{unquote(through.username)}:{unquote(through.password or '')}" if through.username else ""
    headers = {"Proxy-Authorization": "Basic " + base64.b64encode(login.encode()).decode()} if login else {}
    connection.set_tunnel(host, port, headers)
    return connection


def _values(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Tag and content of each value that stands in ``content``."""
    at = 0
    while at < len(content):
        if at + 2 > len(content):
            raise ValueError("a value of DER is cut off")
        tag, size, start = content[at], content[at + 1], at + 2
        if size & 0x80:
            start += size & 0x7F
            size = int.from_bytes(content[at + 2 : start], "big")
        if start + size > len(content):
            raise ValueError("a value of DER is cut off")
        yield tag, content[start : start + size]
        at = start + size


def _inside(content: bytes) -> bytes:
    first = next(_values(content), (0, b""))
    if first[0] != _SEQUENCE:
        raise ValueError("not a certificate")
    return first[1]


def _dotted(value: bytes) -> str:
    numbers, current = [value[0] // 40, value[0] % 40] if value else [], 0
    for byte in value[1:]:
        current = current << 7 | byte & 0x7F
        if not byte & 0x80:
            numbers.append(current)
            current = 0
    return ".".join(map(str, numbers))
