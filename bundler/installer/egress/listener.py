"""Who listens at the wire's outer end: a thread that reads every frame, and what became of them as attempts.

The kernel keeps frames until they are read, so nothing is lost between the wire's laying and the first reading.
"""

from __future__ import annotations

import socket
import threading
import time
from dataclasses import dataclass, field
from typing import Optional

from bundler.core.egress import Attempt
from bundler.installer.egress.packets import Packet, read_frame
from bundler.installer.egress.processes import Processes

_OUTGOING = 4  # PACKET_OUTGOING: what the outer end itself said
_FRAME_SIZE = 65536
_WAKE_S = 0.2
#: What is sent last is read this much later at most.
_SETTLE_S = 0.1
#: Of one kind of attempt, as often is its process looked up; more kinds than these are not told apart any more.
_LOOKUPS, _KINDS = 20, 1000

_Key = tuple[str, str, Optional[int], Optional[str]]


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
        self._lock = threading.Lock()
        self._seen: dict[_Key, _Seen] = {}
        self._ended = threading.Event()
        self._failed: Optional[OSError] = None
        reader.settimeout(_WAKE_S)
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
            if self._failed is not None:
                raise self._failed
            return tuple(
                _attempt(key, seen, since) for key, seen in sorted(self._seen.items(), key=lambda item: item[1].first)
            )

    def collect(self, since: float) -> tuple[Attempt, ...]:
        """What was tried up to now, once what is on its way has come; what comes later counts anew."""
        time.sleep(_SETTLE_S)
        found = self.attempts(since)
        with self._lock:
            self._seen.clear()
        return found

    def _listen(self) -> None:
        while not self._ended.is_set():
            try:
                frame, address = self._reader.recvfrom(_FRAME_SIZE)
            except socket.timeout:
                continue
            except OSError as error:
                with self._lock:
                    self._failed = error
                return
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
        name = packet.question.name if packet.question else None
        key = (packet.protocol, packet.address, packet.port, name)
        with self._lock:
            if key not in self._seen and len(self._seen) >= _KINDS:
                key = ("more", "other addresses", None, None)
            seen = self._seen.setdefault(key, _Seen(now))
            seen.count += 1
            if packet.question:
                seen.questions.add(packet.question.kind)
            looked_up = packet.source_port in seen.told_ports or seen.lookups >= _LOOKUPS
        if not looked_up:
            self._look_up(packet, seen)

    def _look_up(self, packet: Packet, seen: _Seen) -> None:
        sender = self._processes.sender(packet)
        with self._lock:
            seen.lookups += 1
            if sender is not None:
                seen.told_ports.add(packet.source_port)
                seen.processes[sender] = None


def _attempt(key: _Key, seen: _Seen, since: float) -> Attempt:
    protocol, address, port, name = key
    questions = ", ".join(sorted(seen.questions)) or None
    after_s = max(seen.first - since, 0.0)
    return Attempt(protocol, address, port, name, questions, after_s, seen.count, tuple(seen.processes))
