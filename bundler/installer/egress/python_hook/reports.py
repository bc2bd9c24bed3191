"""What hooks say, read on the host: a thread that takes datagrams from a Unix socket, and makes places of them.

Whoever is in the container may write there what they like. So every datagram is taken as hostile: its size, its form
and each of its values are bounded, what would disturb a terminal is made visible, and only so many are kept.
"""

from __future__ import annotations

import os
import re
import select
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Optional

from bundler.core.code_place import CodePlace, Frame
from bundler.installer.egress.python_hook.bundler_calls import ASKED, SENT

_MESSAGE, _TEXT, _FRAMES = 32768, 400, 40
#: Of one check so many places are kept; what comes beyond is read and thrown away.
_PLACES = 1000
_WAKE_MS = 200
_NUMBER = re.compile(r"[0-9]{1,10}")
_HIGHEST_PORT = 65535


@dataclass(frozen=True)
class Heard:
    """What hooks told of one check: places, and the number of calls beyond those, as far as it was said."""

    places: tuple[CodePlace, ...] = ()
    untold: int = 0


@contextmanager
def short_address(path: Path) -> Iterator[str]:
    """The address of a socket at ``path``, however long that is: unix(7) takes 107 bytes, and folders may be deep."""
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


class Reports:
    """Reads the socket at ``path`` in a thread of its own until ``close``; anybody may write to it."""

    def __init__(self, path: Path) -> None:
        """Raises OSError where there cannot be a socket."""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        with short_address(path) as address:
            self._socket.bind(address)
        path.chmod(0o777)
        self._socket.setblocking(False)
        self._lock = threading.Lock()
        self._places: list[tuple[float, CodePlace]] = []
        self._untold: dict[int, int] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="code-places", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread and the socket."""
        self._ended.set()
        self._thread.join()
        self._socket.close()

    def collect(self, since: float) -> Heard:
        """What was said up to now, once all of it is read; times are told from ``since`` (``time.monotonic``).

        To be called when the container has ended: nothing is written any more then.
        """
        with self._lock:
            self._read()
            found, self._places = self._places, []
            untold, self._untold = self._untold, {}
        places = tuple(replace(place, after_s=max(came - since, 0.0)) for came, place in found)
        return Heard(places, sum(untold.values()))

    def _listen(self) -> None:
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        while not self._ended.is_set():
            if poll.poll(_WAKE_MS):
                with self._lock:
                    self._read()

    def _read(self) -> None:
        """Take all that waits."""
        with suppress(BlockingIOError):
            while True:
                message = self._socket.recv(_MESSAGE + 1)
                report = parse_report(message) if len(self._places) < _PLACES else None
                if report is not None:
                    self._keep(*report)

    def _keep(self, place: CodePlace, untold: int) -> None:
        if place.stack:
            self._places.append((time.monotonic(), place))
        if place.pid in self._untold or len(self._untold) < _PLACES:
            self._untold[place.pid] = max(untold, self._untold.get(place.pid, 0))


def parse_report(message: bytes) -> Optional[tuple[CodePlace, int]]:
    """The place that a datagram speaks of, and how many calls of its process were not told.

    None where it is not of the form that `bundler_calls` writes.
    """
    if len(message) > _MESSAGE:
        return None
    try:
        event, host, port, pid, untold, *frames = message.decode("utf-8").split("\0")
    except ValueError:
        return None
    stack = _stack(frames)
    numbers = (pid, untold, port) if event in SENT else (pid, untold)
    if stack is None or not host or not all(map(_NUMBER.fullmatch, numbers)):
        return None
    if event in SENT and int(port) <= _HIGHEST_PORT:
        return CodePlace(event, _readable(host), int(port), int(pid), 0.0, stack), int(untold)
    if event in ASKED and not port:
        return CodePlace(event, _readable(host), None, int(pid), 0.0, stack), int(untold)
    return None


def _stack(fields: Sequence[str]) -> Optional[tuple[Frame, ...]]:
    """Frames out of fields by threes."""
    files, lines, functions = fields[::3], fields[1::3], fields[2::3]
    if len(fields) % 3 or len(files) > _FRAMES or not all(map(_NUMBER.fullmatch, lines)):
        return None
    return tuple(Frame(_readable(a), int(b), _readable(c)) for a, b, c in zip(files, lines, functions))


def _readable(text: str) -> str:
    """The text with what would disturb a terminal or a line replaced, and not too long."""
    return "".join(letter if letter.isprintable() else "?" for letter in text[:_TEXT])
