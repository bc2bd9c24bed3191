"""A line of limited speed, and an address where nothing answers."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from pathlib import Path

#: What the sockets of a limited line hold of what is sent.
HELD_SIZE = 64 << 10


class Line:
    """A wire that carries ``bytes_per_s`` (None: no limit), shared by all that use it."""

    def __init__(self, bytes_per_s: int | None) -> None:
        self.bytes_per_s = bytes_per_s
        self._free_at = 0.0
        self._lock = threading.Lock()

    def delay_s(self, size: int) -> float:
        """Seconds until ``size`` bytes more have passed."""
        if self.bytes_per_s is None:
            return 0.0
        with self._lock:
            now = time.monotonic()
            self._free_at = max(now, self._free_at) + size / self.bytes_per_s
            return self._free_at - now

    def piece_size(self, largest: int) -> int:
        """How many bytes to send at once, so that the speed is even: those of a twentieth of a second, or `HELD_SIZE`."""
        return largest if self.bytes_per_s is None else min(largest, HELD_SIZE, max(1, self.bytes_per_s // 20))


class SilentHost:
    """An address on loopback where connections are neither taken nor refused: who connects hears nothing.

    Its listener's queue is full, and a full queue makes Linux drop a SYN (``tcp_v4_conn_request``). ``knocks`` counts
    those who tried, as ``/proc/net/tcp`` shows them.
    """

    def __init__(self, host: str = "127.0.0.1") -> None:
        self._listener = socket.socket()
        self._listener.bind((host, 0))
        self._listener.listen(0)
        self.port = int(self._listener.getsockname()[1])
        self.address = f"{host}:{self.port}"
        self._filling = [self._fill() for _ in range(3)]
        self._own = {filling.getsockname()[1] for filling in self._filling}
        self._waiting: set[int] = set()
        self._ended = threading.Event()
        threading.Thread(target=self._watch, name=f"silent {self.address}", daemon=True).start()

    @property
    def knocks(self) -> int:
        """How many sockets have waited for an answer so far."""
        self._look()
        return len(self._waiting)

    def close(self) -> None:
        """Be an address that refuses, as nobody listens there any more."""
        self._ended.set()
        for each in (*self._filling, self._listener):
            each.close()

    def __enter__(self) -> SilentHost:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _fill(self) -> socket.socket:
        filling = socket.socket()
        filling.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            filling.connect(self._listener.getsockname())
        time.sleep(0.01)
        return filling

    def _watch(self) -> None:
        while not self._ended.wait(0.02):
            self._look()

    def _look(self) -> None:
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
            _, local, remote, state = line.split()[:4]
            if state == "02" and int(remote.rpartition(":")[2], 16) == self.port:  # TCP_SYN_SENT
                self._waiting |= {int(local.rpartition(":")[2], 16)} - self._own
