"""The program that asks services: always the same bytes, and what it sends, prints and ends with."""

from __future__ import annotations

import platform
import random
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from bundler.core.digest import Digest
from bundler.installer.egress.asker_program import CONNECTED, LONGEST_ANSWER, TOO_LONG, decoded, program
from bundler.installer.egress.elf import ARCHITECTURES

#: Both were tried by the tests below, arm64 by qemu-aarch64.
DIGESTS = {
    "amd64": "7d601d07787a5330c69ad4858a4400dd2052530fdd24b96ba3a5f7f29f374e54",
    "arm64": "a4b6bb10143eb996d407f2db24aa40f9d1f56e25b1ec93a99c9bcdd6f93388dd",
}
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}
_EMULATORS = {"amd64": "qemu-x86_64", "arm64": "qemu-aarch64"}
HERE = _MACHINES.get(platform.machine(), "")
RUNNABLE = [each for each in ARCHITECTURES if each == HERE or shutil.which(_EMULATORS[each])]


class Server:
    """Takes one connection, reads what is asked until it ends with ``end``, and answers."""

    def __init__(self, answer: bytes, host: str = "127.0.0.1", end: bytes = b"?") -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._answer, self._end = answer, end
        self.asked = b""
        self.socket = socket.socket(family)
        self.socket.bind((host, 0))
        self.port = self.socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)

    def open(self, after_s: float = 0.0) -> None:
        time.sleep(after_s)
        self.socket.listen()
        self._thread.start()

    def close(self) -> None:
        self._thread.join()
        self.socket.close()

    def _serve(self) -> None:
        connection, _ = self.socket.accept()
        with connection:
            while self._end and not self.asked.endswith(self._end) and (piece := connection.recv(65536)):
                self.asked += piece
            try:
                connection.sendall(self._answer)
            except ConnectionError:  # it was told enough
                return


@pytest.fixture(params=RUNNABLE)
def asker(request: pytest.FixtureRequest, tmp_path: Path) -> Sequence[str]:
    path = tmp_path / "asker"
    path.write_bytes(program(request.param))
    path.chmod(0o755)
    return (str(path),) if request.param == HERE else (_EMULATORS[request.param], str(path))


def ask(asker: Sequence[str], server: Server, request: str) -> tuple[int, bytes]:
    process = subprocess.run([*asker, str(server.port), request], capture_output=True, timeout=60, check=False)
    assert process.stderr == b""
    return process.returncode, process.stdout


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_program_is_what_was_tried(architecture: str) -> None:
    assert Digest.of(program(architecture)).hex == DIGESTS[architecture]


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_it_sends_all_and_prints_all(asker: Sequence[str], host: str) -> None:
    answer, request = random.Random(1).randbytes(100_000), "größe" * 10_000 + "?"
    server = Server(answer, host)
    server.open()
    code, printed = ask(asker, server, request)
    server.close()
    assert server.asked == request.encode()
    assert (code, printed[:2], decoded(printed[2:])) == (0, CONNECTED, answer)
    assert max(map(len, printed.splitlines())) <= 8192  # engines cut longer lines


def test_without_a_request_it_only_connects(asker: Sequence[str]) -> None:
    server = Server(b"", end=b"")
    server.open()
    assert ask(asker, server, "") == (0, CONNECTED)
    server.close()


def test_it_waits_for_the_port(asker: Sequence[str]) -> None:
    server = Server(b"yes")
    process = subprocess.Popen([*asker, str(server.port), "?"], stdout=subprocess.PIPE)
    server.open(after_s=0.5)
    printed, _ = process.communicate(timeout=60)
    server.close()
    assert (process.returncode, decoded(printed[2:])) == (0, b"yes")


def test_nothing_is_an_answer_too(asker: Sequence[str]) -> None:
    server = Server(b"")
    server.open()
    assert ask(asker, server, "?") == (0, CONNECTED)
    server.close()


@pytest.mark.parametrize(("size", "code"), [(LONGEST_ANSWER // 2, 0), (LONGEST_ANSWER + 10_000, TOO_LONG)])
def test_it_does_not_print_without_end(asker: Sequence[str], size: int, code: int) -> None:
    server = Server(bytes(size))
    server.open()
    ended, printed = ask(asker, server, "?")
    server.close()
    assert ended == code
    assert len(printed) <= 1 << 20


@pytest.mark.parametrize("printed", [b"a", b"ab!c", b"07", b"\xff\xff", b"qq"])
def test_what_it_does_not_print_is_refused(printed: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        decoded(printed)


def test_lines_are_joined_however_a_log_ended_them() -> None:
    assert decoded(b"gigj\r\n\ngigj") == b"hihi"
