"""A port for a server that wants to be told its port, and is started a while later."""

from __future__ import annotations

import random
import socket
from contextlib import closing, suppress

# Below those that the kernel gives out by itself (ip(7), ip_local_port_range): between the choice and the server's
# start no connection of this machine takes it, and two runs beside each other hardly choose the same.
_PORTS = range(12000, 30000)


def free_port(host: str = "127.0.0.1") -> int:
    """A TCP port of ``host`` that nobody has."""
    chosen = random.SystemRandom()
    while True:
        with closing(socket.socket()) as probe, suppress(OSError):
            probe.bind((host, chosen.choice(_PORTS)))
            return int(probe.getsockname()[1])
