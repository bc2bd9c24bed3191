"""Beneath the Hub's answers: the record of requests, a file's bytes and ranges, and where planned faults strike."""

from __future__ import annotations

import json
import re
import secrets
import socket
import struct
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import parse_qs, unquote, urlsplit

from testbed.hub_faults import Fault, Kind
from testbed.hub_repo import HubFile

if TYPE_CHECKING:
    from testbed.hub import Hub

_CHUNK = 256 * 1024
_PORTAL = (
    b"<!DOCTYPE html><html><head><title>Sign in</title></head><body>Accept the terms of this network.</body></html>"
)


class RefusedError(Exception):
    """An error answer of the Hub: HTTP status, its X-Error-Code and X-Error-Message."""

    def __init__(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.headers = status, code, message, dict(headers or {})


@dataclass(frozen=True)
class _Span:
    """The bytes of a file that an answer holds: from ``start`` up to ``end`` (exclusive)."""

    start: int
    end: int
    partial: bool


class Handler(BaseHTTPRequestHandler):
    """What both ports share: the record, faults before an answer, and sending a file's bytes with faults inside."""

    protocol_version = "HTTP/1.1"
    server_version = "testbed-hub"
    timeout = 60
    place = "hub"

    @property
    def hub(self) -> Hub:
        """The server's state."""
        return cast("Hub", cast(Any, self.server).hub)

    def do_GET(self) -> None:
        self._respond()

    def do_HEAD(self) -> None:
        self._respond()

    def do_POST(self) -> None:
        self._respond()

    def log_message(self, format: str, *args: object) -> None:
        """Requests are recorded, not logged."""

    def answer(self, path: str, query: dict[str, list[str]]) -> None:
        """Answer a request that no fault stopped; ``path`` is still percent-encoded."""
        raise NotImplementedError

    def _respond(self) -> None:
        from testbed.hub import Seen  # noqa: PLC0415 - that module starts this one

        url = urlsplit(self.path)
        self.form = self._read_form()
        self.seen = Seen(
            self.place,
            self.command,
            unquote(url.path),
            url.query,
            self.headers["Range"],
            "Authorization" in self.headers,
        )
        self.hub.record(self.seen)
        self.new_etag: str | None = None
        fault = self.hub.faults.take(self.command, self.seen.path, body=False, cdn=self.place == "cdn")
        try:
            if fault is None or self._strike(fault):
                self.answer(url.path, parse_qs(url.query))
        except RefusedError as refused:
            self._refuse(refused)

    def _read_form(self) -> dict[str, Any]:
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        if (self.headers["Content-Type"] or "").startswith("application/json"):
            return cast("dict[str, Any]", json.loads(body))
        return cast("dict[str, Any]", parse_qs(body.decode()))

    def _strike(self, fault: Fault) -> bool:
        """Do what a fault does before an answer; True when the request is then answered as usual."""
        if fault.kind is Kind.NEW_ETAG:
            self.new_etag = secrets.token_hex(20)
            return True
        if fault.kind is Kind.STALL:
            self.hub.stopping.wait(fault.stall_s)
            return not self.hub.stopping.is_set()
        if fault.kind is Kind.RESET:
            self._reset()
        elif fault.kind is Kind.HTML:
            self.send(200, _PORTAL, {"Content-Type": "text/html; charset=utf-8"})
        elif fault.kind is Kind.EXPIRED:
            raise RefusedError(403, "", "Request has expired")
        else:
            wait = {} if fault.retry_after_s is None else {"Retry-After": str(fault.retry_after_s)}
            raise RefusedError(fault.status, "", f"planned answer {fault.status}", wait)
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
        self._head(status, {**headers, "Content-Length": str(len(body))})
        if self.command != "HEAD":
            self.wfile.write(body)
            self.seen.sent += len(body)

    def _head(self, status: int, headers: Mapping[str, str]) -> None:
        self.seen.status = status
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    # -- a file's bytes

    def send_file(self, file: HubFile, headers: Mapping[str, str]) -> None:
        """Answer with a file or the range of it that was asked for, and meet the faults planned for its body."""
        fault = None
        if self.command == "GET":
            fault = self.hub.faults.take("GET", self.seen.path, body=True, cdn=self.place == "cdn")
        size = file.size - 1 if fault and fault.kind is Kind.WRONG_LENGTH else file.size
        etag = f'"{self.new_etag or file.etag}"'
        ignored = fault is not None and fault.kind is Kind.NO_RANGES
        span = _Span(0, size, False) if ignored else self._span(size, etag)
        answer = {"ETag": etag, "Accept-Ranges": "bytes", "Content-Type": "application/octet-stream", **headers}
        answer["Content-Length"] = str(span.end - span.start)
        if span.partial:
            answer["Content-Range"] = f"bytes {span.start}-{span.end - 1}/{size}"
        self._head(206 if span.partial else 200, answer)
        if self.command == "GET":
            self._send_span(file, span, fault)

    def _span(self, size: int, etag: str) -> _Span:
        """The range that was asked for, clamped (RFC 9110, 14.2; If-Range: 13.1.5)."""
        match = re.fullmatch(r"bytes=(\d*)-(\d*)", (self.headers["Range"] or "").strip())
        if match is None or match.group(0) == "bytes=-" or self.headers.get("If-Range", etag) != etag:
            return _Span(0, size, False)
        first, last = match.groups()
        start = int(first) if first else max(0, size - int(last))
        end = min(size, int(last) + 1) if first and last else size
        if start >= end:
            raise RefusedError(416, "", "Range Not Satisfiable", {"Content-Range": f"bytes */{size}"})
        return _Span(start, end, True)

    def _send_span(self, file: HubFile, span: _Span, fault: Fault | None) -> None:
        begun = time.monotonic()
        for chunk in self._chunks(file, span, fault):
            self.wfile.write(chunk)
            self.seen.sent += len(chunk)
            if fault and fault.kind is Kind.SLOW:
                due = begun + self.seen.sent / fault.bytes_per_s
                if self.hub.stopping.wait(max(0.0, due - time.monotonic())):
                    return
        if fault and self.seen.sent < span.end - span.start:
            self._break_off(file, span, fault)

    def _chunks(self, file: HubFile, span: _Span, fault: Fault | None) -> Iterator[bytes]:
        breaks = fault is not None and fault.kind in (Kind.CUT, Kind.RESET, Kind.STALL)
        end = min(span.end, span.start + fault.after) if fault and breaks else span.end
        size = min(_CHUNK, max(1, fault.bytes_per_s // 20)) if fault and fault.kind is Kind.SLOW else _CHUNK
        with file.source.open("rb") as stream:
            stream.seek(span.start)
            at = span.start
            while at < end and (chunk := stream.read(min(size, end - at))):
                if fault and fault.kind is Kind.WRONG_BYTES and at <= fault.after < at + len(chunk):
                    place = fault.after - at
                    chunk = chunk[:place] + bytes([chunk[place] ^ 0xFF]) + chunk[place + 1 :]
                yield chunk
                at += len(chunk)

    def _break_off(self, file: HubFile, span: _Span, fault: Fault) -> None:
        self.wfile.flush()
        if fault.kind is Kind.RESET:
            self._reset()
        elif fault.kind is Kind.STALL and not self.hub.stopping.wait(fault.stall_s):
            self._send_span(file, _Span(span.start + self.seen.sent, span.end, span.partial), None)
            return
        self.close_connection = True

    def _reset(self) -> None:
        """Close so that the peer sees a reset: linger 0 makes the kernel send RST in place of FIN."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        with suppress(OSError):
            self.wfile.flush()
        # shutdown() would send FIN; the file objects hold the descriptor, so all of them go.
        self.rfile.close()
        self.connection.close()
