"""Which call explains which attempt."""

from __future__ import annotations

import pytest

from bundler.core.code_place import CodePlace, Frame
from bundler.core.egress import Attempt
from bundler.installer.egress.python_hook.joining import with_places


def call(host: str, port: int | None = None, line: int = 1) -> CodePlace:
    event = "socket.getaddrinfo" if port is None else "socket.connect"
    return CodePlace(event, host, port, 1, 0.0, (Frame("/app/a.py", line, "f"),))


def sent(protocol: str, address: str, port: int | None) -> Attempt:
    return Attempt(protocol, address, port, None, None, 0.0, 1, ())


def asked(name: str) -> Attempt:
    return Attempt("DNS", "192.0.2.53", 53, name, "A", 0.0, 1, ())


@pytest.mark.parametrize(
    ("place", "attempt"),
    [
        (call("203.0.113.7", 443), sent("TCP", "203.0.113.7", 443)),
        (call("::ffff:203.0.113.7", 443), sent("TCP", "203.0.113.7", 443)),
        (call("2001:db8:0:0::7", 443), sent("QUIC", "2001:db8::7", 443)),
        (call("fe80::7%eth0", 80), sent("TCP", "fe80::7", 80)),
        (call("203.0.113.7", 0), sent("ICMP", "203.0.113.7", None)),
        (call("192.0.2.53", 53), asked("a.example")),  # a resolver in Python
        (call("HuggingFace.co."), asked("huggingface.co")),
        (call("huggingface.co"), asked("huggingface.co.corp.example")),
        (call("b\u00fccher.example"), asked("xn--bcher-kva.example")),
        (call("203.0.113.7"), asked("7.113.0.203.in-addr.arpa")),
    ],
)
def test_a_call_explains_its_attempt(place: CodePlace, attempt: Attempt) -> None:
    (joined,) = with_places([attempt], [place])
    assert joined.places == (place,)


@pytest.mark.parametrize(
    ("place", "attempt"),
    [
        (call("203.0.113.7", 444), sent("TCP", "203.0.113.7", 443)),
        (call("203.0.113.8", 443), sent("TCP", "203.0.113.7", 443)),
        (call("203.0.113.7"), sent("TCP", "203.0.113.7", 443)),
        (call("huggingface"), asked("huggingface-mirror.example")),
        (call("co"), asked("huggingface.co")),
        (call("."), asked("a.example")),
        (call("." * 300), asked("a.example")),
        (call("not an address", 53), asked("a.example")),
    ],
)
def test_another_call_does_not(place: CodePlace, attempt: Attempt) -> None:
    assert with_places([attempt], [place]) == (attempt,)


def test_the_same_stack_counts_once_and_few_are_kept() -> None:
    places = [call("203.0.113.7", 443, line) for line in (1, 1, *range(2, 50))]
    (joined,) = with_places([sent("TCP", "203.0.113.7", 443)], places)
    assert [place.stack[0].line for place in joined.places] == list(range(1, 9))
