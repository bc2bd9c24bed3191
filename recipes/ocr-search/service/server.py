"""The web service: pages are uploaded, read and asked. README.md lists the requests.

python -m service.server
"""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from typing import Any, TypeGuard
from urllib.parse import parse_qs, urlsplit

from service.answers import hit_answer, page_answer, summary
from service.errors import run
from service.library import Library, shipped
from service.pictures import MAX_BYTES, PictureError
from service.settings import Settings

_MAX_QUESTION = 8 * 1024
_MAX_HITS = 50
#: What is read of a body that is too large, so that its sender sees the answer and not a broken connection.
_DISCARDED = 4 * MAX_BYTES
_PIECE = 64 * 1024
_WEB = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/app.js": ("app.js", "text/javascript; charset=utf-8"),
    "/style.css": ("style.css", "text/css; charset=utf-8"),
}
#: Everything comes from here, and no script or style stands in the page itself.
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


class RequestError(Exception):
    """The request cannot be answered; the message is for its sender."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class Server(ThreadingHTTPServer):
    """Holds the pages that the requests are about."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], library: Library) -> None:
        self.library = library
        super().__init__(address, Handler)


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    server: Server
    protocol_version = "HTTP/1.1"
    server_version = "ocr-search"
    sys_version = ""
    timeout = 30

    def do_GET(self) -> None:
        """The web page and its parts, ``/health``, ``/pages``, ``/pages/ID`` and ``/pages/ID/image``."""
        self._answer(self._get)

    def do_POST(self) -> None:
        """``/pages?name=NAME`` with a picture, ``/search`` with a question."""
        self._answer(self._post)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """What went wrong alone: a page that waits asks twice a second how far it is."""
        if int(code) >= 400:
            super().log_request(code, size)

    def _answer(self, request: Callable[[], None]) -> None:
        try:
            request()
        except (RequestError, PictureError) as error:
            self._send_json(error.status, {"error": str(error)})

    def _get(self) -> None:
        path = urlsplit(self.path).path
        if path in _WEB:
            name, media_type = _WEB[path]
            self._send(200, files("service").joinpath("web", name).read_bytes(), media_type)
        elif path == "/health":
            pages = self.server.library.pages()
            self._send_json(200, {"status": "ok", "pages": len(pages), "unread": sum(page.unread for page in pages)})
        elif path == "/pages":
            self._send_json(200, {"pages": [summary(page) for page in self.server.library.pages()]})
        else:
            self._get_page(path)

    def _get_page(self, path: str) -> None:
        first, _, rest = path.lstrip("/").partition("/")
        id, _, part = rest.partition("/")
        page = self.server.library.page(id) if first == "pages" else None
        if page is None or part not in {"", "image"}:
            raise RequestError(f"nothing at {self.path}", 404)
        if part:
            self._send(200, page.picture.content, page.picture.media_type)
        else:
            self._send_json(200, page_answer(page))

    def _post(self) -> None:
        asked = urlsplit(self.path)
        if asked.path == "/pages":
            name = parse_qs(asked.query).get("name", ["page"])[0]
            self._send_json(202, summary(self.server.library.add(name, self._body(MAX_BYTES))))
        elif asked.path == "/search":
            self._search(self._body(_MAX_QUESTION))
        else:
            self._body(MAX_BYTES)
            raise RequestError(f"nothing at {self.path}", 404)

    def _search(self, body: bytes) -> None:
        question, top_k = _question(body)
        hits = self.server.library.ask(question, top_k)
        pages = {page.id: page for page in self.server.library.pages()}
        self._send_json(
            200,
            {
                "query": question,
                "unread": sum(page.unread for page in pages.values()),
                "hits": [hit_answer(hit, pages[hit.passage.page]) for hit in hits],
            },
        )

    def _body(self, most: int) -> bytes:
        """The request's body. Raises RequestError where it has no length or is larger than ``most`` bytes."""
        length = self.headers["Content-Length"] or ""
        if not length.isdecimal():
            self.close_connection = (
                True  # where the body ends is not known, so neither is where the next request begins
            )
            raise RequestError("a body with a Content-Length is needed", 411)
        if int(length) > most:
            self._discard(int(length))
            raise RequestError(f"the body is larger than {most} bytes", 413)
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            self.close_connection = True
            raise RequestError(f"the body ended after {len(body)} of {length} bytes")
        return body

    def _discard(self, length: int) -> None:
        left = min(length, _DISCARDED)
        while left and (piece := self.rfile.read(min(left, _PIECE))):
            left -= len(piece)
        self.close_connection = True

    def _send_json(self, status: int, value: dict[str, Any]) -> None:
        self._send(status, json.dumps(value, ensure_ascii=False).encode(), "application/json; charset=utf-8")

    def _send(self, status: int, body: bytes, media_type: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": media_type, "Content-Length": str(len(body)), **_HEADERS}.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)


def _question(body: bytes) -> tuple[str, int]:
    try:
        asked = json.loads(body)
    except (ValueError, RecursionError) as error:  # the second where it is too deep
        raise RequestError(f"not JSON: {error}") from error
    query, top_k = (asked.get("query"), asked.get("top_k", 3)) if isinstance(asked, dict) else (None, 3)
    if not _is_text(query):
        raise RequestError('"query" has to be a text')
    if type(top_k) is not int or not 1 <= top_k <= _MAX_HITS:
        raise RequestError(f'"top_k" has to be a number from 1 to {_MAX_HITS}')
    return query.strip(), top_k


def _is_text(value: object) -> TypeGuard[str]:
    """Whether there is something in it. JSON can escape halves of characters: no encoding takes them, so no answer can."""
    return isinstance(value, str) and bool(value.strip()) and value.encode(errors="ignore").decode() == value


def main() -> int:
    """Serve until SIGTERM or SIGINT (as process 1 of a container both have no default action)."""
    settings = Settings.from_environment()
    pages = shipped(settings.pages_dir)
    library = Library.load(settings)
    for path in pages:
        library.add(path.name, path.read_bytes(), later=True)
    library.start()
    with Server((settings.host, settings.port), library) as server:
        for number in (signal.SIGTERM, signal.SIGINT):
            # From a thread of its own: shutdown() waits for the loop that this handler has interrupted.
            signal.signal(number, lambda *_: threading.Thread(target=server.shutdown).start())
        print(f"listening on port {server.server_address[1]}, {len(pages)} pages to read", flush=True)
        server.serve_forever()
    return 0


if __name__ == "__main__":
    run(main)
