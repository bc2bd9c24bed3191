"""olah, a mirror of the Hub that others run for real (github.com/vtuber-plan/olah), between a client and a Hub of ours.

with Hub(repos) as hub, Olah(hub, folder) as mirror:
    HubSource(Endpoint(mirror.endpoint), …)

It is installed from PyPI into an environment of its own in the test bed's cache, since it wants releases of its own.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

from testbed import TestbedError
from testbed.debian import cache_dir, command, locked
from testbed.hub import Hub
from testbed.ports import free_port

RELEASE = "0.5.4"
_START_S = 300.0


def olah_program() -> Path:
    """The program, installed on the first call; raises TestbedError where it cannot be."""
    place = cache_dir() / f"olah-{RELEASE}"
    program = place / "bin" / "olah-cli"
    with locked(place.name):
        if not (place / "complete").exists():
            shutil.rmtree(place, ignore_errors=True)
            command([sys.executable, "-m", "venv", str(place)], timeout_s=300)
            command([str(place / "bin" / "pip"), "install", "--quiet", f"olah=={RELEASE}"], timeout_s=600)
            (place / "complete").touch()
    return program


class Olah:
    """The mirror, a process of its own. A context manager; ``folder`` is for what it keeps, and its log."""

    def __init__(self, hub: Hub, folder: Path) -> None:
        self._hub = hub
        self._folder = folder
        self._port = free_port()
        self.endpoint = f"http://127.0.0.1:{self._port}"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Olah:
        self._folder.mkdir(parents=True, exist_ok=True)
        here = f"127.0.0.1:{self._port}"
        places = {"hf": (self._hub.endpoint, self._hub.cdn), "mirror": (f"http://{here}", f"http://{here}")}
        options = ["--host", "127.0.0.1", "--port", str(self._port), "--hf-scheme", "http"]
        for name, (site, files) in places.items():
            options += [f"--{name}-netloc", urlsplit(site).netloc, f"--{name}-lfs-netloc", urlsplit(files).netloc]
        options += ["--repos-path", str(self._folder / "repos"), "--log-path", str(self._folder / "logs")]
        with (self._folder / "output").open("wb") as output:
            self._process = subprocess.Popen(
                [str(olah_program()), *options], cwd=self._folder, stdout=output, stderr=output
            )
        self._wait()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.terminate()
        try:
            self._process.wait(60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _wait(self) -> None:
        deadline = time.monotonic() + _START_S
        while self._process is not None and self._process.poll() is None and time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", self._port), 1).close()
            except OSError:
                time.sleep(0.1)
            else:
                return
        self.__exit__()
        raise TestbedError(f"olah does not start: {(self._folder / 'output').read_text()[-2000:]}")
