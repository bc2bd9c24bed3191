"""Xet by the real hf_xet: its storage is a local one (``local://``), which the library itself can read and write.

What the real storage adds (signed addresses of chunks over HTTPS) is not reached here.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from bundler.builder.hub.limits import Limits
from bundler.builder.hub.part import Part
from bundler.builder.hub.retry import RetryPolicy, TransientError
from bundler.builder.hub.source import HttpFile
from bundler.builder.lock import LockedFile
from tests.support.bringing import MIB, PATH, QUICK, Bringing, write_weights

_UPLOAD = """
import sys, hf_xet
endpoint, path = sys.argv[1:]
with hf_xet.XetSession().new_upload_commit(endpoint=endpoint) as commit:
    upload = commit.start_upload_file(path, sha256=hf_xet.SKIP_SHA256)
print(upload.result().xet_info.hash)
"""


class XetHub:
    """``resolve`` names the Xet hash, another address gives the storage's token; ``seen`` is who asked with a token."""

    def __init__(self, file: LockedFile, xet_hash: str, storage: str) -> None:
        self.seen: list[tuple[str, str | None]] = []
        self.stalls = threading.Event()
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_HEAD(self) -> None:
                hub.seen.append((self.path, self.headers["Authorization"]))
                if "xet-read-token" in self.path:
                    if hub.stalls.is_set():
                        time.sleep(30)
                    expires = str(int(time.time()) + 3600)
                    token = {"X-Xet-Access-Token": "short-lived", "X-Xet-Token-Expiration": expires}
                    self.answer(200, {"X-Xet-Cas-Url": storage, **token})
                else:
                    route = f"{hub.address}/api/models/acme/tiny/xet-read-token/main"
                    offer = {"X-Xet-Hash": xet_hash, "X-Xet-Refresh-Route": route, "X-Linked-Size": str(file.size)}
                    self.answer(302, {**offer, "ETag": f'"{file.sha256}"', "Location": "http://cdn.invalid/"})

            def do_GET(self) -> None:
                self.do_HEAD()

            def answer(self, status: int, headers: dict[str, str]) -> None:
                self.send_response(status)
                for name, value in {**headers, "Content-Length": "0"}.items():
                    self.send_header(name, value)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                """Nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[LockedFile, str, str]:
    """A file in a local Xet storage: what the lock says, its Xet hash, and the storage's address."""
    monkeypatch.setenv("HF_XET_CACHE", str(tmp_path / "xet"))
    (tmp_path / "storage").mkdir()
    file = write_weights(tmp_path / PATH, 24 * MIB + 17)
    storage = f"local://{tmp_path}/storage"
    argv = [sys.executable, "-c", _UPLOAD, storage, str(tmp_path / PATH)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=300, env=dict(os.environ))
    assert done.returncode == 0, done.stderr
    return file, done.stdout.strip(), storage


@pytest.fixture
def hub(stored: tuple[LockedFile, str, str]) -> Iterator[XetHub]:
    server = XetHub(*stored)
    yield server
    server.close()


def bringing(hub: XetHub, file: LockedFile, tmp_path: Path, policy: RetryPolicy) -> Bringing:
    remote = HttpFile(f"{hub.address}/acme/tiny/resolve/main/{PATH}", {"authorization": "Bearer hf_secret"}, hub=True)
    return Bringing(file, remote, Part(tmp_path / "partial" / "weights"), Limits.of(policy))


def test_a_file_comes_out_of_xet_and_is_compared(
    hub: XetHub, stored: tuple[LockedFile, str, str], tmp_path: Path
) -> None:
    one = bringing(hub, stored[0], tmp_path, RetryPolicy())
    downloader = one.by("xet")
    assert downloader.name == "xet"
    digests = one.bring("xet")
    assert digests.fit()
    assert one.part.path.stat().st_size == stored[0].size
    assert any("xet-read-token" in path for path, _ in hub.seen)
    assert {value for _, value in hub.seen} == {"Bearer hf_secret"}


def test_xet_that_stands_still_is_ended(hub: XetHub, stored: tuple[LockedFile, str, str], tmp_path: Path) -> None:
    hub.stalls.set()
    with pytest.raises(TransientError, match="xet brought 0 bytes in 1 s"):
        bringing(hub, stored[0], tmp_path, QUICK).bring("xet")
