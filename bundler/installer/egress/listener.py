"""Who listens at the wire's outer end: a thread that reads every frame, and what became of them as attempts.

The kernel keeps frames until they are read, so nothing is lost between the wire's laying and the first reading.
"""

from __future__ import annotations

import select
import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Optional

from bundler.core.egress import Attempt
from bundler.installer.egress.packets import Packet, read_frame
from bundler.installer.egress.processes import Processes

_OUTGOING = 4  # PACKET_OUTGOING: what the outer end itself said
_FRAME_SIZE = 65536
_WAKE_MS = 200
#: What is sent last is read this much later at most.
_SETTLE_S = 0.1
#: Of one kind of attempt, as often is its process looked up; more kinds than these are not told apart any more.
_LOOKUPS, _KINDS = 20, 1000

_Key = tuple[str, str, Optional[int], Optional[str]]
_MORE: _Key = ("more", "other addresses", None, None)


@dataclass
class _Seen:
    """What is known of one kind of attempt so far."""

    first: float
    count: int = 0
    questions: set[str] = field(default_factory=set)
    processes: dict[str, None] = field(default_factory=dict)
    lookups: int = 0
    told_ports: set[Optional[int]] = field(default_factory=set)


class Listener:
    """Reads ``reader`` in a thread of its own until ``close``; ``innocent`` are names that a host has for itself."""

    def __init__(self, reader: socket.socket, processes: Processes, innocent: frozenset[str]) -> None:
        self._reader = reader
        self._processes = processes
        self._innocent = innocent
        self._lock = threading.Lock()  # whoever holds it sees no frame that is read and not yet counted
        self._seen: dict[_Key, _Seen] = {}
        self._ended = threading.Event()
        self._failed: Optional[OSError] = None
        reader.setblocking(False)
        self._thread = threading.Thread(target=self._listen, name="egress-listener", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread and the socket, and with it the wire."""
        self._ended.set()
        self._thread.join()
        self._reader.close()

    def attempts(self, since: float) -> tuple[Attempt, ...]:
        """What was tried up to now, in order; ``since`` (``time.monotonic``) is what times are told from.

        Raises OSError where the wire could not be read any more: then nothing is known.
        """
        with self._lock:
            return self._told(since)

    def collect(self, since: float) -> tuple[Attempt, ...]:
        """What was tried up to now, once what is on its way has come and is read; what comes later counts anew."""
        time.sleep(_SETTLE_S)
        while True:
            with self._lock:
                if self._failed is not None or not self._waiting(0):
                    found = self._told(since)
                    self._seen.clear()
                    return found
            time.sleep(_SETTLE_S / 10)  # lets the thread have the lock

    def _told(self, since: float) -> tuple[Attempt, ...]:
        if self._failed is not None:
            raise self._failed
        return tuple(_attempt(key, seen, since) for key, seen in self._seen.items())

    def _listen(self) -> None:
        while not self._ended.is_set():
            if self._waiting(_WAKE_MS):
                with self._lock:
                    try:
                        self._read()
                    except OSError as error:
                        self._failed = error
                        return

    def _waiting(self, timeout_ms: int) -> bool:
        """Whether a frame waits; an object that polls serves one thread, so each call has its own."""
        poll = select.poll()
        poll.register(self._reader, select.POLLIN)
        return bool(poll.poll(timeout_ms))

    def _read(self) -> None:
        """Take all frames that wait."""
        with suppress(BlockingIOError):
            while True:
                frame, address = self._reader.recvfrom(_FRAME_SIZE)
                packet = None if address[2] == _OUTGOING else read_frame(frame)
                if packet is not None and not self._is_innocent(packet):
                    self._note(packet, time.monotonic())

    def _is_innocent(self, packet: Packet) -> bool:
        """A question for this host's own names leads nowhere else; resolvers differ in whether they ask it."""
        if packet.question is None:
            return False
        name = packet.question.name.lower()
        return name in self._innocent or name == "localhost" or name.endswith(".localhost")

    def _note(self, packet: Packet, now: float) -> None:
        key = (packet.protocol, packet.address, packet.port, packet.question.name if packet.question else None)
        if key not in self._seen and len(self._seen) >= _KINDS:
            key = _MORE
        seen = self._seen.setdefault(key, _Seen(now))
        seen.count += 1
        if packet.question:
            seen.questions.add(packet.question.kind)
        if packet.source_port in seen.told_ports or seen.lookups >= _LOOKUPS:
            return
        seen.lookups += 1
        sender = self._processes.sender(packet)
        if sender is not None:
            seen.told_ports.add(packet.source_port)
            seen.processes[sender] = None


def _attempt(key: _Key, seen: _Seen, since: float) -> Attempt:
    protocol, address, port, name = key
    questions = ", ".join(sorted(seen.questions)) or None
    after_s = max(seen.first - since, 0.0)
    return Attempt(protocol, address, port, name, questions, after_s, seen.count, tuple(seen.processes))
