"""Beneath the Hub's answers: the record of requests, small answers, and where faults strike before any answer."""

from __future__ import annotations

import base64
import json
import secrets
import socket
import struct
from collections.abc import Mapping
from contextlib import suppress
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler
from time import time
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import parse_qs, unquote, urlsplit

from testbed.hub_faults import DETOURS, Fault, Kind
from testbed.hub_line import HELD_SIZE, Line
from testbed.hub_seen import Seen, fingerprint

if TYPE_CHECKING:
    from testbed.hub import Hub

PORTAL = (
    b"<!DOCTYPE html><html><head><title>Sign in</title></head><body>Accept the terms of this network.</body></html>"
)


class RefusedError(Exception):
    """An error answer of the Hub: HTTP status, its X-Error-Code and X-Error-Message."""

    def __init__(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.headers = status, code, message, dict(headers or {})


class Handler(BaseHTTPRequestHandler):
    """What both ports share: the record, faults before an answer, and small answers."""

    protocol_version = "HTTP/1.1"
    server_version = "testbed-hub"
    timeout = 60
    place = "hub"

    @property
    def hub(self) -> Hub:
        """The server's state."""
        return cast("Hub", cast(Any, self.server).hub)

    def setup(self) -> None:
        """A new connection: a line of its own."""
        super().setup()
        self.line = Line(self.hub.bytes_per_s)
        if self.hub.bytes_per_s or self.hub.line.bytes_per_s:  # what was sent is what is there, but for little
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, HELD_SIZE)

    def do_GET(self) -> None:
        self._respond()

    def do_HEAD(self) -> None:
        self._respond()

    def do_POST(self) -> None:
        self._respond()

    def log_message(self, format: str, *args: object) -> None:
        """Requests are recorded, not logged."""

    def admit(self) -> None:
        """Raise RefusedError for a caller that may not speak to this server at all."""

    def answer(self, path: str, query: dict[str, list[str]]) -> None:
        """Answer a request that no fault stopped; ``path`` is still percent-encoded."""
        raise NotImplementedError

    def _respond(self) -> None:
        url = urlsplit(self.path)
        self.body = self._read_body()
        self.seen = self._record(unquote(url.path), url.query)
        self.new_etag: str | None = None
        self.detour: str | None = None
        try:
            self.admit()
            fault = self.hub.faults.take(self.command, self.seen.path, cdn=self.place == "cdn")
            if fault is None or self._strike(fault):
                self.answer(url.path, parse_qs(url.query))
        except RefusedError as refused:
            self._refuse(refused)

    def _record(self, path: str, query: str) -> Seen:
        authorization, cookie = self.headers["Authorization"], self.headers["Cookie"]
        seen = Seen(self.place, self.command, path, query, self.headers["Range"], authorization is not None)
        seen.authorization, seen.cookie = fingerprint(authorization), fingerprint(cookie)
        seen.user_agent = self.headers["User-Agent"] or ""
        self.hub.record(seen)
        return seen

    def _read_body(self) -> bytes:
        if (self.headers["Transfer-Encoding"] or "").lower() != "chunked":
            return self.rfile.read(int(self.headers["Content-Length"] or 0))
        body = bytearray()
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return bytes(body)

    def form(self) -> dict[str, Any]:
        """What a form or a JSON document says."""
        if "json" in (self.headers["Content-Type"] or ""):
            return cast("dict[str, Any]", json.loads(self.body))
        return cast("dict[str, Any]", parse_qs(self.body.decode()))

    def credentials(self) -> tuple[str, str] | None:
        """User and password of basic auth; a bearer's token is the password of nobody."""
        scheme, _, value = (self.headers["Authorization"] or "").partition(" ")
        if not scheme:
            return None
        if scheme.lower() != "basic":
            return "", value
        user, _, password = base64.b64decode(value).decode().partition(":")
        return user, password

    def _strike(self, fault: Fault) -> bool:
        """Do what a fault does before an answer; True when the request is then answered as usual."""
        self.hub.faults.strikes(fault)
        if fault.kind in DETOURS:
            self.detour = self.hub.detour(fault.kind, self.place, self.path)
            return True
        if fault.kind is Kind.NEW_ETAG:
            self.new_etag = secrets.token_hex(20)
            return True
        if fault.kind is Kind.STALL:
            return self.hub.stall(fault)
        if fault.kind is Kind.RESET:
            self.reset()
        elif fault.kind is Kind.HTML:
            self.send(200, PORTAL, {"Content-Type": "text/html; charset=utf-8"})
        elif fault.kind is Kind.EXPIRED:
            raise RefusedError(403, "", "Request has expired")
        else:
            raise RefusedError(fault.status, "", f"planned answer {fault.status}", _retry_after(fault))
        return False

    def _refuse(self, refused: RefusedError) -> None:
        headers = {"X-Error-Message": refused.message, **refused.headers}
        if refused.code:
            headers["X-Error-Code"] = refused.code
        self.send_json({"error": refused.message}, status=refused.status, headers=headers)

    def send_json(self, value: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        """Answer with a JSON document."""
        self.send(
            status, json.dumps(value).encode(), {"Content-Type": "application/json; charset=utf-8", **(headers or {})}
        )

    def send(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        """Answer with a small body, or with its headers alone to HEAD."""
        self.head(status, {**headers, "Content-Length": str(len(body))})
        if self.command != "HEAD":
            self.seen.sent += len(body)
            self.wfile.write(body)

    def head(self, status: int, headers: Mapping[str, str]) -> None:
        """Answer with a status and headers; the body is the caller's."""
        self.seen.status = status
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if self.hub.cookie and self.place == "hub":
            self.send_header("Set-Cookie", self.hub.cookie)
        self.end_headers()

    def reset(self) -> None:
        """Close so that the peer sees a reset: linger 0 makes the kernel send RST in place of FIN."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        with suppress(OSError):
            self.wfile.flush()
        # shutdown() would send FIN; the file objects hold the descriptor, so all of them go.
        self.rfile.close()
        self.connection.close()


def _retry_after(fault: Fault) -> dict[str, str]:
    if fault.retry_after_s is None:
        return {}
    when = formatdate(time() + fault.retry_after_s, usegmt=True) if fault.retry_as_date else str(fault.retry_after_s)
    return {"Retry-After": when}
