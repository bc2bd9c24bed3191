"""A company's proxy on loopback: forwards plain HTTP, tunnels TLS by CONNECT, and may want a password.

with Proxy(password=("ann", "secret")) as proxy:
    requests.get(url, proxies={"http": proxy.address_for("ann", "secret")})
    proxy.asked                            # [Asked(method="GET", target="http://…", status=200, …)]
"""

from __future__ import annotations

import base64
import http.client
import select
import socket
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Optional, cast
from urllib.parse import quote, urlsplit

from testbed.hub_seen import fingerprint

_PIECE = 64 << 10
_HOP_BY_HOP = {"connection", "keep-alive", "proxy-authorization", "proxy-connection", "te", "trailer", "upgrade"}


@dataclass
class Asked:
    """One request to the proxy: ``target`` is an address, or ``HOST:PORT`` of a tunnel; 407 was not let through."""

    method: str
    target: str
    authorization: Optional[str]
    status: int = 0


class Proxy:
    """The proxy. A context manager; ``password`` are user and password of basic auth.

    ``routes`` are targets of tunnels (``HOST:PORT``) and where they lead in truth, so that names of the real world
    stand for servers of a test.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        password: tuple[str, str] | None = None,
        routes: Mapping[str, str] | None = None,
    ) -> None:
        self.asked: list[Asked] = []
        self.routes = dict(routes or {})
        self.expected = None if password is None else _basic(*password)
        self._server = _Server((host, 0), _Handler)
        self._server.proxy = self
        self.address = f"http://{host}:{self._server.server_address[1]}"

    def address_for(self, user: str, password: str) -> str:
        """The address with credentials, as people put it into ``HTTPS_PROXY``."""
        return self.address.replace("://", f"://{quote(user, '')}:{quote(password, '')}@")

    def let_through(self, text: str = "") -> list[Asked]:
        """What was forwarded or tunnelled, and whose target contains ``text``."""
        return [asked for asked in list(self.asked) if asked.status not in (0, 407) and text in asked.target]

    def __enter__(self) -> Proxy:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), name="proxy", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64
    proxy: Proxy

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients and servers that go away are no news here."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60

    def do_GET(self) -> None:
        self._forward()

    def do_HEAD(self) -> None:
        self._forward()

    def do_POST(self) -> None:
        self._forward()

    def do_CONNECT(self) -> None:
        asked = self._admitted()
        if asked is None:
            return
        routes = cast(_Server, self.server).proxy.routes
        host, _, port = routes.get(self.path, self.path).rpartition(":")
        with socket.create_connection((host.strip("[]"), int(port)), timeout=30) as upstream:
            asked.status = 200
            self.send_response(200, "Connection established")
            self.end_headers()
            _exchange(self.connection, upstream)
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Requests are recorded, not logged."""

    def _admitted(self) -> Asked | None:
        """The request, noted; None where it lacks the password and was told so."""
        proxy = cast(_Server, self.server).proxy
        given = self.headers["Proxy-Authorization"]
        asked = Asked(self.command, self.path, fingerprint(given))
        proxy.asked.append(asked)
        if proxy.expected in (None, given):
            return asked
        asked.status = 407
        self.send_response(407)
        self.send_header("Proxy-Authenticate", 'Basic realm="proxy"')
        self.send_header("Content-Length", "0")
        self.end_headers()
        return None

    def _forward(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        asked = self._admitted()
        if asked is None:
            return
        url = urlsplit(self.path)
        upstream = http.client.HTTPConnection(url.hostname or "", url.port or 80, timeout=60)
        try:
            upstream.putrequest(
                self.command,
                url._replace(scheme="", netloc="").geturl() or "/",
                skip_host=True,
                skip_accept_encoding=True,
            )
            for name, value in self.headers.items():
                if name.lower() not in _HOP_BY_HOP:
                    upstream.putheader(name, value)
            upstream.endheaders(body or None)
            self._pass_on(upstream.getresponse(), asked)
        finally:
            upstream.close()

    def _pass_on(self, answer: http.client.HTTPResponse, asked: Asked) -> None:
        asked.status = answer.status
        self.send_response_only(answer.status, answer.reason)
        for name, value in answer.getheaders():
            if name.lower() not in {*_HOP_BY_HOP, "transfer-encoding"}:
                self.send_header(name, value)
        if answer.getheader("Content-Length") is None:
            self.close_connection = True
        self.end_headers()
        while piece := answer.read1(_PIECE):
            self.wfile.write(piece)
        if answer.length:  # it was cut, and so is this one
            self.close_connection = True


def _exchange(one: socket.socket, other: socket.socket) -> None:
    """Pass bytes both ways until either side ends."""
    peers: dict[Any, socket.socket] = {one: other, other: one}
    with suppress(OSError):
        while ready := select.select(list(peers), [], [], 60)[0]:
            for side in ready:
                content = side.recv(_PIECE)
                if not content:
                    return
                peers[side].sendall(content)


def _basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
