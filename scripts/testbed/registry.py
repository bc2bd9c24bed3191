"""A real container registry on loopback: Debian's docker-registry (distribution 2.8) with its storage in a folder.

with registry() as address:
    engine.docker("push", f"{address}/demo:1")     # "127.0.0.1:PORT"; engines speak plain HTTP to 127.0.0.0/8
"""

from __future__ import annotations

import contextlib
import http.client
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from testbed import TestbedError
from testbed.ports import free_port

START_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 60.0

_CONFIG = """\
version: 0.1
log: {{level: warn}}
storage:
  filesystem: {{rootdirectory: "{storage}"}}
  delete: {{enabled: true}}
http: {{addr: "{address}"}}
"""


@contextlib.contextmanager
def registry() -> Iterator[str]:
    """Run a registry for the time of the block; gives its address, ``127.0.0.1:PORT``.

    Needs no root. An engine in a name space of its own (``testbed.netns``) does not reach it.
    """
    with tempfile.TemporaryDirectory(prefix="registry-") as work:
        address = f"127.0.0.1:{free_port()}"
        config = Path(work) / "config.yml"
        config.write_text(_CONFIG.format(storage=f"{work}/storage", address=address))
        log = Path(work) / "log"
        with log.open("wb") as output:
            argv = ["setpriv", "--pdeathsig", "TERM", "docker-registry", "serve", str(config)]
            process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
        try:
            _wait(address, process, log)
            yield address
        finally:
            process.terminate()
            process.wait(STOP_TIMEOUT_S)


def _wait(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while not _answers(address):
        if process.poll() is not None or time.monotonic() > deadline:
            raise TestbedError(
                f"docker-registry does not start on {address}\n{log.read_text(errors='replace')[-2000:]}"
            )
        time.sleep(0.05)


def _answers(address: str) -> bool:
    connection = http.client.HTTPConnection(address, timeout=20)
    with contextlib.closing(connection):
        try:
            connection.request("GET", "/v2/")
            return connection.getresponse().status == http.client.OK
        except OSError:
            return False
