"""The sockets of the Hub and of its CDN."""

from __future__ import annotations

import socket
import ssl
import sys
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, cast

from testbed.hub_faults import Kind

if TYPE_CHECKING:
    from testbed.hub import Hub


class Server(ThreadingHTTPServer):
    """Knows its open connections, so that closing it leaves no keep-alive connection that still answers."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(
        self, hub: Hub, address: tuple[str, int], handler: type[BaseHTTPRequestHandler], tls: ssl.SSLContext | None
    ) -> None:
        self.hub = hub
        self._tls = tls
        self._open: set[socket.socket] = set()
        self._broken = False
        self._open_lock = threading.Lock()
        super().__init__(address, handler)
        self.address = f"{'https' if tls else 'http'}://{address[0]}:{self.server_address[1]}"

    def finish_request(self, request: socket.socket | tuple[bytes, socket.socket], client_address: object) -> None:
        request = cast("socket.socket", request)  # of a stream server it is one
        if self._tls:  # here, in the connection's own thread: a slow handshake must not hold up the others
            request = self._tls.wrap_socket(request, server_side=True)
        with self._open_lock:
            self._open.add(request)
            if self._broken:  # it was taken, and its thread comes only now
                _shut(request)
        try:
            super().finish_request(request, client_address)
        finally:
            with self._open_lock:
                self._open.discard(request)
            if self._tls:
                request.close()

    def handle_error(self, request: object, client_address: object) -> None:  # noqa: ARG002 - of the base class
        """Clients that go away are what this server is for, and no news; those that distrust it are counted."""
        error = sys.exc_info()[1]
        if isinstance(error, ssl.SSLError) and "ALERT" in (error.reason or ""):
            self.hub.faults.strikes(Kind.UNKNOWN_AUTHORITY)

    def break_connections(self) -> None:
        with self._open_lock:
            self._broken = True
            for connection in self._open:
                _shut(connection)


def _shut(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
