"""HTTP for services that are checked: the request as text, and what came back, however garbled it is.

Source: RFC 9112 (HTTP/1.1); the answer is read by Python's own client.
"""

from __future__ import annotations

import http.client
import io
import socket
from dataclasses import dataclass
from typing import cast

from bundler.core.checks import Question


class GarbledAnswerError(Exception):
    """What came is no whole HTTP answer; the message says why."""


@dataclass(frozen=True)
class Answer:
    """An answer; the body is read as UTF-8, with a sign in the place of what is none.

    ``says_its_end``: its own form tells that nothing of it is missing; else only the end of the connection does.
    """

    status: int
    reason: str
    body: str
    says_its_end: bool


def render_request(question: Question, port: int) -> str:
    """The request; its own headers decide, but for those that say how long it is and that nothing comes after it."""
    headers = {"Host": f"localhost:{port}", "User-Agent": "bundler", "Accept": "*/*", "Accept-Encoding": "identity"}
    if question.body is not None:
        headers["Content-Type"] = "application/json"
    given = {name.lower() for name in question.headers}
    fixed = {"Connection": "close"}
    if question.body is not None or question.method in {"POST", "PUT"}:
        fixed["Content-Length"] = str(len((question.body or "").encode()))
    lines = [f"{question.method} {question.path} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in headers.items() if name.lower() not in given]
    taken = {name.lower() for name in fixed} | {"content-length", "transfer-encoding"}
    lines += [f"{name}: {value}" for name, value in question.headers.items() if name.lower() not in taken]
    lines += [f"{name}: {value}" for name, value in fixed.items()]
    return "\r\n".join([*lines, "", question.body or ""])


def read_answer(content: bytes, method: str) -> Answer:
    """Read all that came for a request of ``method``; raises GarbledAnswerError."""
    if not content.strip():
        raise GarbledAnswerError("nothing came before the connection was closed")
    try:
        response = http.client.HTTPResponse(cast("socket.socket", _Received(content)), method=method)
        response.begin()
        says_its_end = response.chunked or response.length is not None
        body = response.read()
    except http.client.IncompleteRead as error:
        raise GarbledAnswerError(f"its body was cut off after {len(error.partial)} bytes") from error
    except (http.client.HTTPException, ValueError, OverflowError) as error:
        raise GarbledAnswerError(f"it is no HTTP: {type(error).__name__}: {readable(str(error), 80)}") from error
    return Answer(response.status, readable(response.reason, 80), body.decode(errors="replace"), says_its_end)


def readable(text: str, longest: int) -> str:
    """The beginning of a text on one line, without what would disturb a terminal."""
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in text[: 2 * longest]).split())
    return line if len(line) <= longest else f"{line[:longest]}…"


class _Received:
    """As much of a socket as the client wants of one that it only reads."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def makefile(self, _mode: str) -> io.BytesIO:
        return io.BytesIO(self._content)
