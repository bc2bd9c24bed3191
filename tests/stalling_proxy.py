"""A real socket between a client and an engine that stops, or cuts the line, in the middle of what is sent.

It only counts what the client sends to ``/images/load``: after ``limit`` bytes of that, it stalls (and says so) or
closes both sides; released, it closes them or, with ``resume``, lets everything pass. All else passes as it is.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path


class StallingProxy:
    """Listens at ``url``. ``stalled`` is set when the limit is reached; ``sent`` counts the bytes of loads."""

    def __init__(
        self, socket_path: Path, engine: Path, limit: int | None, *, cut: bool = False, resume: bool = False
    ) -> None:
        self.url = f"unix://{socket_path}"
        self.stalled = threading.Event()
        self.released = threading.Event()
        self.sent = 0
        self._engine = engine
        self._limit = limit
        self._cut = cut
        self._resume = resume
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(socket_path))
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Stop listening and let go whatever is stalled."""
        self.released.set()
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                engine = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                engine.connect(str(self._engine))
                threading.Thread(target=self._upwards, args=(client, engine), daemon=True).start()
                threading.Thread(target=self._downwards, args=(engine, client), daemon=True).start()

    def _upwards(self, client: socket.socket, engine: socket.socket) -> None:
        loading = False
        with contextlib.suppress(OSError):
            while data := client.recv(65536):
                if b"/images/load" in data[:200]:
                    loading = True
                elif data[:5] in {b"GET /", b"POST ", b"HEAD ", b"DELET"}:
                    loading = False
                if loading and not self._may_pass(len(data)):
                    break
                engine.sendall(data)
        _end(client, engine)

    def _may_pass(self, size: int) -> bool:
        self.sent += size
        if self._limit is None or self.sent <= self._limit:
            return True
        self.stalled.set()
        if not self._cut:
            self.released.wait()
        return self._resume

    def _downwards(self, engine: socket.socket, client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := engine.recv(65536):
                client.sendall(data)
        _end(client, engine)


def _end(*sockets: socket.socket) -> None:
    for one in sockets:
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def stalling_proxy(
    folder: Path, engine: Path, limit: int | None, *, cut: bool = False, resume: bool = False
) -> Iterator[StallingProxy]:
    """A proxy before the engine's socket, for the time of the block; no limit: it only counts."""
    path = folder / f"proxy-{limit}-{cut}.sock"
    proxy = StallingProxy(path, engine, limit, cut=cut, resume=resume)
    try:
        yield proxy
    finally:
        proxy.close()
        path.unlink()
