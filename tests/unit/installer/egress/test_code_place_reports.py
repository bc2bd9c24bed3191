"""What hooks say, and what somebody else may say in their place."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from bundler.core.code_place import CodePlace, Frame
from bundler.installer.egress.python_hook.reports import Heard, Reports, parse_report, short_address

FRAME = "\0/app/a.py\x001\0f"
HEAD = "socket.connect\x00203.0.113.7\x00443\x007\x000"


def test_a_report_is_a_place() -> None:
    stack = (Frame("/app/a.py", 41, "load"), Frame("/app/b.py", 1, "f"))
    place = CodePlace("socket.connect", "203.0.113.7", 443, 7, 0.0, stack)
    assert parse_report(f"{HEAD}\0/app/a.py\x0041\0load\0/app/b.py\x001\0f".encode()) == (place, 0)
    asked = CodePlace("socket.getaddrinfo", "a.example", None, 1, 0.0, ())
    assert parse_report(b"socket.getaddrinfo\0a.example\0\x001\x0012") == (asked, 12)


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\0\0\0\0",
        b"\xff" * 100,
        os.urandom(2000),
        HEAD.encode()[:-2],
        b"os.system\x00203.0.113.7\x00443\x007\x000",
        b"socket.connect\0\x00443\x007\x000",
        b"socket.connect\x00203.0.113.7\0\x007\x000",
        b"socket.connect\x00203.0.113.7\x0065536\x007\x000",
        b"socket.connect\x00203.0.113.7\x00-1\x007\x000",
        b"socket.connect\x00203.0.113.7\x00443\x00seven\x000",
        "socket.connect\x00203.0.113.7\x00443\x00\u0667\x000".encode(),
        b"socket.connect\x00203.0.113.7\x00443\x0077777777777\x000",
        b"socket.getaddrinfo\0a.example\x0053\x007\x000",
        f"{HEAD}\0/app/a.py".encode(),
        f"{HEAD}\0/app/a.py\0one\0f".encode(),
        f"{HEAD}\0/app/a.py\x001e3\0f".encode(),
        (HEAD + "\0/app/a.py\x001\0f" * 41).encode(),
        (HEAD + "\0" + "a" * 40000 + "\x001\0f").encode(),
    ],
)
def test_what_is_no_report_is_dropped(message: bytes) -> None:
    assert parse_report(message) is None


def test_nothing_of_a_report_disturbs_a_terminal_or_fills_it() -> None:
    report = parse_report(f"{HEAD}\0/app/\x1b[2J\n\u202e{'a' * 5000}.py\x001\0f\rg".encode())
    assert report is not None
    (frame,) = report[0].stack
    assert frame.file.startswith("/app/?[2J??aaa")
    assert len(frame.file) == 400
    assert frame.function == "f?g"


@pytest.fixture
def heard(tmp_path: Path) -> Iterator[tuple[Reports, socket.socket]]:
    reports = Reports(tmp_path / "report")
    sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sender.settimeout(60)
    with short_address(tmp_path / "report") as address:
        sender.connect(address)
    yield reports, sender
    sender.close()
    reports.close()


def test_reports_are_collected_once(heard: tuple[Reports, socket.socket]) -> None:
    reports, sender = heard
    sender.send(f"{HEAD}{FRAME}".encode())
    sender.send(b"rubbish")
    (place,) = reports.collect(0.0).places
    assert (place.host, place.after_s > 0) == ("203.0.113.7", True)
    assert reports.collect(0.0) == Heard()


def test_calls_that_were_not_told_are_counted_for_each_process(heard: tuple[Reports, socket.socket]) -> None:
    reports, sender = heard
    for pid, untold in ((7, 1), (7, 4), (7, 2), (8, 3)):
        sender.send(f"socket.connect\x00203.0.113.7\x00443\0{pid}\0{untold}".encode())
    assert reports.collect(0.0) == Heard((), 7)


def test_a_flood_is_read_and_bounded(heard: tuple[Reports, socket.socket]) -> None:
    reports, sender = heard
    for number in range(5000):
        sender.send(f"{HEAD}{FRAME}".replace("443", str(number)).encode())
    assert len(reports.collect(0.0).places) == 1000
    sender.send(f"{HEAD}{FRAME}".encode())
    assert len(reports.collect(0.0).places) == 1


def test_anybody_may_write_to_it(heard: tuple[Reports, socket.socket], tmp_path: Path) -> None:
    assert (tmp_path / "report").stat().st_mode & 0o777 == 0o777
