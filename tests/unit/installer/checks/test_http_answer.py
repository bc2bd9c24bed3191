"""Requests as they are sent, and answers however they come: a garbled one is told, and never a traceback."""

from __future__ import annotations

import os
import random

import pytest

from bundler.core.checks import Question
from bundler.installer.checks.http_answer import Answer, GarbledAnswerError, read_answer, readable, render_request

OK = b"HTTP/1.1 200 OK\r\n"


def test_a_request_is_one_that_ends() -> None:
    text = render_request(Question("GET", "/health?a=b", {}, None), 8080)
    assert text.startswith("GET /health?a=b HTTP/1.1\r\nHost: localhost:8080\r\n")
    assert text.endswith("\r\nConnection: close\r\n\r\n")
    assert "Content-Length" not in text


def test_a_body_is_counted_in_bytes_and_taken_for_json() -> None:
    head, _, body = render_request(Question("POST", "/", {}, '{"a": "ö"}'), 80).partition("\r\n\r\n")
    assert "Content-Length: 11\r\n" not in head
    assert head.endswith("Content-Length: 11")
    assert "Content-Type: application/json" in head
    assert body == '{"a": "ö"}'


def test_a_body_that_is_empty_is_said_to_be() -> None:
    assert "Content-Length: 0" in render_request(Question("POST", "/", {}, None), 80)


def test_own_headers_decide_but_for_where_the_request_ends() -> None:
    headers = {"host": "other", "ACCEPT": "text/html", "connection": "keep-alive", "content-length": "9", "X": "y"}
    head = render_request(Question("POST", "/", {**headers, "Transfer-Encoding": "chunked"}, "ab"), 80).split("\r\n")
    assert sorted(line for line in head if line.lower().startswith(("host", "accept:", "con", "x", "tr"))) == [
        "ACCEPT: text/html",
        "Connection: close",
        "Content-Length: 2",
        "Content-Type: application/json",
        "X: y",
        "host: other",
    ]


@pytest.mark.parametrize(
    ("content", "method", "answer"),
    [
        (OK + b"Content-Length: 2\r\n\r\nhi", "GET", Answer(200, "OK", "hi", True)),
        (OK + b"Content-Length: 2\r\n\r\nhi and more", "GET", Answer(200, "OK", "hi", True)),
        (OK + b"\r\nto the end\n", "GET", Answer(200, "OK", "to the end\n", False)),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", "GET", Answer(200, "OK", "hi", True)),
        (OK + b"Content-Length: 2\r\n\r\n", "HEAD", Answer(200, "OK", "", True)),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"Content-Length: 0\r\n\r\n", "GET", Answer(200, "OK", "", True)),
        (b"HTTP/1.0 503 \r\n\r\n\xff", "GET", Answer(503, "", "�", False)),
        (b"HTTP/1.1 204 No\r\n\r\n", "GET", Answer(204, "No", "", True)),
    ],
)
def test_answers_are_read(content: bytes, method: str, answer: Answer) -> None:
    assert read_answer(content, method) == answer


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "nothing came"),
        (b"\r\n", "nothing came"),
        (b"SSH-2.0-OpenSSH_9\r\n", "no HTTP: BadStatusLine"),
        (b"HTTP/1.1 2x0 OK\r\n\r\n", "no HTTP"),
        (OK + b"Content-Length: 99\r\n\r\nhi", "cut off after 2 bytes"),
        (OK + b"Content-Length: " + b"9" * 60 + b"\r\n\r\nhi", r"."),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhi", "cut off"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"f" * 40 + b"\r\nhi", r"."),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n-5\r\nhi\r\n", r"."),
        (OK + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\nhi", r"."),
        (OK + b"A: b\r\n" * 500 + b"\r\n", "no HTTP"),
        (OK + b"A: " + b"b" * 100_000 + b"\r\n\r\n", "no HTTP: LineTooLong"),
    ],
)
def test_garbled_answers_are_told(content: bytes, why: str) -> None:
    with pytest.raises(GarbledAnswerError, match=why):
        read_answer(content, "GET")


def test_whatever_comes_is_an_answer_or_told() -> None:
    seed = os.environ.get("BUNDLER_TEST_SEED", "1")
    chance = random.Random(seed)
    whole = [
        OK + b"Content-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX: y\r\n\r\n",
        OK + b"Content-Length: 20\r\nSet-Cookie: a=b\r\n folded\r\n\r\n" + b"x" * 20,
    ]
    for _ in range(3000):
        content = bytearray(chance.choice(whole))
        for _ in range(chance.randrange(1, 8)):
            place = chance.randrange(len(content))
            content[place : place + chance.randrange(3)] = chance.randbytes(chance.randrange(3))
        try:
            assert 100 <= read_answer(bytes(content), "GET").status <= 999, (seed, content)
        except GarbledAnswerError:
            continue


def test_what_is_shown_disturbs_no_terminal() -> None:
    assert readable("a\x1b[31m\r\n\tb\u202e", 80) == "a [31m b"
    assert readable("x" * 300, 200) == "x" * 200 + "…"
