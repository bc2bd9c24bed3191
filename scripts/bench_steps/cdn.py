"""A fast server for the bytes of a model: nginx out of Debian, with and without a limit for each connection.

nginx hands files to the kernel (sendfile), so that on two cores the client is what is measured.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench_steps.programs import BenchError

#: What each connection gets from the limited server, in MB (10^6 bytes) per second.
LIMIT_MB_S = 20
_START_TIMEOUT_S = 10
_CONFIGURATION = """
user root;
daemon off; worker_processes 1; pid {work}/nginx.pid; error_log {work}/nginx.log;
events {{ worker_connections 256; }}
http {{
  access_log off; sendfile on; tcp_nopush on;
  client_body_temp_path {work}/t; proxy_temp_path {work}/t; fastcgi_temp_path {work}/t;
  uwsgi_temp_path {work}/t; scgi_temp_path {work}/t;
  server {{ listen 127.0.0.1:{free}; root {root}; }}
  server {{ listen 127.0.0.1:{limited}; root {root}; limit_rate {rate}; }}
}}
"""


@contextmanager
def serving(root: Path, work: Path) -> Iterator[dict[str, str]]:
    """The addresses of what lies below ``root``: ``free`` and ``limited``."""
    program = shutil.which("nginx")
    if program is None:
        raise BenchError("nginx is missing: apt-get install nginx-light")
    free, limited = _free_port(), _free_port()
    values = {"work": work, "root": root, "free": free, "limited": limited, "rate": LIMIT_MB_S * 1_000_000}
    configuration = work / "nginx.conf"
    configuration.write_text(_CONFIGURATION.format(**values))
    with subprocess.Popen([program, "-c", str(configuration)], stderr=subprocess.DEVNULL) as process:
        try:
            for port in (free, limited):
                _wait(port, process)
            yield {"free": f"http://127.0.0.1:{free}", "limited": f"http://127.0.0.1:{limited}"}
        finally:
            process.terminate()


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _wait(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise BenchError("nginx does not start")
