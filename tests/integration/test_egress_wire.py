"""The wire and its listener in a bare network name space, without an engine: nothing is lost, nothing is left."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bundler.installer.egress.holder_program import program
from bundler.installer.egress.listener import Listener
from bundler.installer.egress.processes import Processes
from bundler.installer.egress.wire import lay_wire

pytestmark = pytest.mark.engine  # root's rights, as engines need them
FLOOD = """
import socket
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for number in range(20000):
    sock.sendto(b"x", (f"203.0.113.{number % 250 + 1}", 1000 + number % 2000))
"""


class Space:
    """A network name space with a wire, and commands in it."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(["unshare", "--net", "sleep", "1800"])
        self._path = Path("/proc", str(self._process.pid), "ns", "net")
        deadline = time.monotonic() + 60
        while self._path.readlink() == Path("/proc/self/ns/net").readlink():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        self.listener = Listener(lay_wire(self._path), Processes(self._process.pid), frozenset({"own"}))

    def run(self, *command: str) -> str:
        argv = ["nsenter", f"--net={self._path}", *command]
        return subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=False, timeout=300).stdout

    def close(self) -> None:
        self.listener.close()

    def end(self) -> None:
        self._process.kill()
        self._process.wait()


@pytest.fixture
def space() -> Iterator[Space]:
    made = Space()
    yield made
    made.close()
    made.end()


def test_every_first_act_is_seen(space: Space, tmp_path: Path) -> None:
    leak = tmp_path / "leak"
    leak.write_bytes(program("amd64"))
    leak.chmod(0o755)
    seen = []
    for _ in range(50):
        space.run(str(leak), "x", "y")
        seen.append({attempt.protocol for attempt in space.listener.collect(0.0)})
    assert seen == [{"UDP", "DNS"}] * 50


def test_a_flood_is_counted_whole_and_ends_with_its_check(space: Space) -> None:
    space.run("python3", "-c", FLOOD)
    attempts = space.listener.collect(0.0)
    assert sum(attempt.count for attempt in attempts) == 20_000
    assert len(attempts) == 1001
    assert space.listener.collect(0.0) == ()


def test_an_idle_name_space_is_silent(space: Space) -> None:
    time.sleep(3)
    assert space.listener.collect(0.0) == ()


def test_questions_for_its_own_name_are_innocent(space: Space) -> None:
    for name in ("own", "localhost", "a.localhost"):
        space.run("timeout", "1", "busybox", "nslookup", name, "192.0.2.53")
    assert space.listener.collect(0.0) == ()


def test_the_wire_goes_with_its_reader(space: Space) -> None:
    assert "eth0" in space.run("ip", "link")
    space.close()
    deadline = time.monotonic() + 60
    while "eth0" in space.run("ip", "link"):
        assert time.monotonic() < deadline
        time.sleep(0.05)
