"""ocr-rag over HTTP: uvicorn as in the image, on a socket in the file system."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from testbed.reference import reference_python
from tests.support.ocr_rag import RECIPE, Image


class OverUnixSocket(http.client.HTTPConnection):
    """HTTP to a socket in the file system."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost")
        self.path = path

    def connect(self) -> None:
        """Open it; an answer that takes two minutes comes no more."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(120)
        self.sock.connect(str(self.path))


class Server:
    """A running service; ``last`` is the body of its last answer."""

    def __init__(self, image: Image, path: Path, log: Path) -> None:
        self.image, self.path, self.log, self.last = image, path, log, ""

    def ask(self, method: str, path: str, body: bytes | None = None, kind: str = "application/json") -> tuple[int, Any]:
        """Status and body of the answer."""
        connection = OverUnixSocket(self.path)
        try:
            with contextlib.suppress(BrokenPipeError):  # it may answer, and close, before all was sent
                connection.request(method, path, body=body, headers={"Content-Type": kind} if body is not None else {})
            answer = connection.getresponse()
            self.last = said = answer.read().decode()
            return answer.status, json.loads(said)
        finally:
            connection.close()

    def post(self, path: str, **asked: object) -> tuple[int, Any]:
        """Ask by JSON."""
        return self.ask("POST", path, json.dumps(asked).encode())

    def upload(self, content: bytes, part: str = "file") -> tuple[int, Any]:
        """Send a file to ``/ocr`` in a form."""
        line = "----------a-line-between-parts"
        head = f'--{line}\r\nContent-Disposition: form-data; name="{part}"; filename="page"\r\n\r\n'
        body = head.encode() + content + f"\r\n--{line}--\r\n".encode()
        return self.ask("POST", "/ocr", body, f"multipart/form-data; boundary={line}")


def command_of_the_image() -> list[str]:
    """CMD, as production runs it."""
    (line,) = (each for each in (RECIPE / "Dockerfile").read_text().splitlines() if each.startswith("CMD "))
    found: list[str] = json.loads(line.removeprefix("CMD "))
    return found


def uvicorn(image: Image, path: Path, log: Path, app: str = "app:app", **more: str) -> subprocess.Popen[bytes]:
    """Start the server as the image does, with ``app`` in place of its own, and with more variables."""
    server, in_the_image, *options = command_of_the_image()
    assert in_the_image == "app:app"
    # A socket in the file system goes before a port.
    command = [str(reference_python()), "-m", server, app, *options, "--uds", str(path)]
    with log.open("wb") as stream:
        return subprocess.Popen(
            command,
            cwd=Path(__file__).parents[2],  # where ``tests`` is
            env=image.environment(**more),
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
        )


@contextlib.contextmanager
def serving(server: Server, **more: str) -> Iterator[Server]:
    """The server runs, and has ended without a fault afterwards."""
    process = uvicorn(server.image, server.path, server.log, **more)
    try:
        while not server.path.exists() and process.poll() is None:
            time.sleep(0.1)
        assert process.poll() is None, server.log.read_text()
        yield server
    finally:
        process.terminate()
        assert process.wait() == -15 or process.returncode == 0, server.log.read_text()
