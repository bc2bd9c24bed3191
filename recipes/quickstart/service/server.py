"""The HTTP endpoint: ``POST /search`` {"query", "top_k"}, ``GET /health``, ``GET /`` a page to try it.

python -m service.server
"""

from __future__ import annotations

import json
import signal
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from typing import Any, TypeGuard

from service.errors import run
from service.search import SearchIndex
from service.settings import Settings

_MAX_BODY = 64 * 1024
_MAX_HITS = 50


class BadRequestError(Exception):
    """The request cannot be answered; the message is for its sender."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class Server(ThreadingHTTPServer):
    """Holds the index that the requests are answered from."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], index: SearchIndex) -> None:
        self.index = index
        super().__init__(address, Handler)


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    server: Server
    protocol_version = "HTTP/1.1"
    server_version = "quickstart"
    timeout = 30

    def do_GET(self) -> None:
        """``/`` and ``/health``."""
        if self.path == "/":
            page = files("service").joinpath("page.html").read_bytes()
            self._send(200, page, "text/html; charset=utf-8")
        elif self.path == "/health":
            self._send_json(200, {"status": "ok", "passages": len(self.server.index.passages)})
        else:
            self._send_json(404, {"error": f"nothing at {self.path}"})

    def do_POST(self) -> None:
        """``/search``."""
        try:
            query, top_k = self._question()
        except BadRequestError as error:
            self.close_connection = True  # what stands unread in the body must not be taken for the next request
            self._send_json(error.status, {"error": str(error)})
            return
        hits = self.server.index.search(query, top_k)
        found = [{"source": h.passage.source, "text": h.passage.text, "score": round(h.score, 4)} for h in hits]
        self._send_json(200, {"query": query, "hits": found})

    def _question(self) -> tuple[str, int]:
        if self.path != "/search":
            raise BadRequestError(f"nothing at {self.path}", 404)
        length = self.headers["Content-Length"] or ""
        if not length.isdecimal():
            raise BadRequestError("a body with a Content-Length is needed", 411)
        if int(length) > _MAX_BODY:
            raise BadRequestError(f"the body is larger than {_MAX_BODY} bytes", 413)
        try:
            asked = json.loads(self.rfile.read(int(length)))
        except (ValueError, RecursionError) as error:  # the second where it is too deep
            raise BadRequestError(f"not JSON: {error}") from error
        query, top_k = (asked.get("query"), asked.get("top_k", 3)) if isinstance(asked, dict) else (None, 3)
        if not _is_text(query):
            raise BadRequestError('"query" has to be a text')
        if type(top_k) is not int or not 1 <= top_k <= _MAX_HITS:
            raise BadRequestError(f'"top_k" has to be a number from 1 to {_MAX_HITS}')
        return query, top_k

    def _send_json(self, status: int, value: dict[str, Any]) -> None:
        self._send(status, json.dumps(value, ensure_ascii=False).encode(), "application/json; charset=utf-8")

    def _send(self, status: int, body: bytes, media_type: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)


def _is_text(value: object) -> TypeGuard[str]:
    """Whether there is something in it. JSON can escape halves of characters: no encoding takes them, so no answer can."""
    return isinstance(value, str) and bool(value.strip()) and value.encode(errors="ignore").decode() == value


def main() -> int:
    """Serve until SIGTERM or SIGINT (as process 1 of a container both have no default action)."""
    settings = Settings.from_environment()
    with Server((settings.host, settings.port), SearchIndex.open(settings)) as server:
        for number in (signal.SIGTERM, signal.SIGINT):
            # From a thread of its own: shutdown() waits for the loop that this handler has interrupted.
            signal.signal(number, lambda *_: threading.Thread(target=server.shutdown).start())
        print(f"listening on port {server.server_address[1]}, {len(server.index.passages)} passages", flush=True)
        server.serve_forever()
    return 0


if __name__ == "__main__":
    run(main)
