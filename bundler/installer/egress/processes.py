"""Which process a packet came from: by the port to the socket, by the socket's inode to who has it open.

It is looked up while the packet comes, from the host. A process that sent its packet and ended at once is not found,
and nothing is guessed in its place.

Source: proc(5): ``/proc/<pid>/net/{tcp,udp,…}`` shows the sockets of that process's name space, ``/proc/<pid>/fd``
their inodes, ``NSpid`` in ``/proc/<pid>/status`` the process's id in its container.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Optional

from bundler.installer.egress.packets import Packet

_PROC = Path("/proc")
_TABLES = {"TCP": ("tcp", "tcp6"), "ICMP": ("icmp",), "ICMPv6": ("icmp6",)}
_UDP_TABLES = ("udp", "udp6")
_PORT_FIELD, _INODE_FIELD = 1, 9
_SHOWN_COMMAND = 80


class Processes:
    """The processes that share the network name space of process ``pid``."""

    def __init__(self, pid: int) -> None:
        """Raises OSError where the process cannot be looked at."""
        self._pid = pid
        self._namespace = _link(_PROC / str(pid) / "ns" / "net")

    def sender(self, packet: Packet) -> Optional[str]:
        """The command line and the id of who sent it, None where it cannot be told (any more)."""
        if packet.source_port is None:
            return None
        with suppress(OSError):  # processes end while they are looked at
            inodes = set(self._inodes(_TABLES.get(packet.protocol, _UDP_TABLES), packet.source_port))
            wanted = {f"socket:[{inode}]" for inode in inodes if inode != "0"}
            return self._owner(wanted) if wanted else None
        return None

    def _inodes(self, tables: tuple[str, ...], port: int) -> Iterator[str]:
        """The inodes of sockets with that local port."""
        for table in tables:
            with suppress(OSError):  # no IPv6 in this kernel
                lines = (_PROC / str(self._pid) / "net" / table).read_text().splitlines()[1:]
                for fields in map(str.split, lines):
                    if int(fields[_PORT_FIELD].rpartition(":")[2], 16) == port:
                        yield fields[_INODE_FIELD]

    def _owner(self, wanted: set[str]) -> Optional[str]:
        """The youngest process with such a socket: a child that got it from its parent uses it."""
        found = None
        for pid in sorted(int(entry.name) for entry in _PROC.iterdir() if entry.name.isdecimal()):
            folder = _PROC / str(pid)
            with suppress(OSError):
                if _link(folder / "ns" / "net") != self._namespace:
                    continue
                if any(_target(entry) in wanted for entry in (folder / "fd").iterdir()):
                    found = _told(folder)
        return found


def _link(path: Path) -> str:
    """Where a link of /proc leads. OSError where its process is gone or may not be looked at."""
    return os.readlink(path)  # noqa: PTH115 - thousands are read, and each Path would cost more than the call


def _target(path: Path) -> str:
    with suppress(OSError):
        return _link(path)
    return ""


def _told(folder: Path) -> str:
    """``COMMAND LINE (process ID)``, with the id that the process has in its container."""
    command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    shown = " ".join("".join(letter if letter.isprintable() else " " for letter in command).split())
    status = (folder / "status").read_text().splitlines()
    pid = next((line.split()[-1] for line in status if line.startswith("NSpid:")), folder.name)
    return f"{shown[:_SHOWN_COMMAND]} (process {pid})"
