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
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from bundler.installer.egress.packets import Packet

_PROC = Path("/proc")
_TABLES = {"TCP": ("tcp", "tcp6"), "ICMP": ("icmp",), "ICMPv6": ("icmp6",)}
_UDP_TABLES = ("udp", "udp6")
_PORT_FIELD, _INODE_FIELD = 1, 9
_SHOWN_COMMAND, _KEPT_COMMAND, _READ_COMMAND = 80, 200, 4096
#: What runc calls its processes until they become the container's command.
_STARTERS = "runc:["
#: Of ``stat``, counted behind the process's name: field 22.
_STARTED_FIELD = 19


@dataclass(frozen=True)
class Identity:
    """A container's process: its id there, its command line made safe to show, and when it started (a kernel's count)."""

    pid: int
    command: str
    started: str


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
        for folder in self.members():
            with suppress(OSError):
                if any(link_target(entry) in wanted for entry in (folder / "fd").iterdir()):
                    found = _told(folder)
        return found

    def members(self) -> Iterator[Path]:
        """The folders below ``/proc`` of the processes in the name space, by their ids on this host."""
        for pid in sorted(int(name) for name in os.listdir(_PROC) if name.isdecimal()):  # noqa: PTH208 - as in `_link`
            with suppress(OSError):
                if _link(f"{_PROC}/{pid}/ns/net") == self._namespace:
                    yield _PROC / str(pid)

    def identity(self, folder: Path) -> Optional[Identity]:
        """What a member's process is; None for the holder, and for the engine's own on their way into a container.

        Raises OSError where it is gone.
        """
        status = (folder / "status").read_text(errors="replace").splitlines()
        ids = _field(status, "NSpid:").split()
        on_its_way = len(ids) < 2 or _field(status, "Name:").strip().startswith(_STARTERS)
        if folder.name == str(self._pid) or on_its_way:
            return None
        started = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()[_STARTED_FIELD]
        return Identity(int(ids[-1]), shown_command(folder, _KEPT_COMMAND), started)


def _link(path: Path | str) -> str:
    """Where a link of /proc leads. OSError where its process is gone or may not be looked at."""
    return os.readlink(path)  # noqa: PTH115 - thousands are read, and each Path would cost more than the call


def link_target(path: Path) -> str:
    """Where a link of /proc leads; empty where that cannot be told (any more)."""
    with suppress(OSError):
        return _link(path)
    return ""


def _told(folder: Path) -> str:
    """``COMMAND LINE (process ID)``, with the id that the process has in its container."""
    shown = shown_command(folder, _SHOWN_COMMAND)
    ids = _field((folder / "status").read_text(errors="replace").splitlines(), "NSpid:").split()
    return f"{shown} (process {ids[-1] if ids else folder.name})"


def shown_command(folder: Path, longest: int) -> str:
    """The command line with what would disturb a terminal as blanks, its first ``longest`` letters."""
    with (folder / "cmdline").open("rb") as stream:
        command = stream.read(_READ_COMMAND).replace(b"\0", b" ").decode(errors="replace").strip()
    return " ".join("".join(letter if letter.isprintable() else " " for letter in command).split())[:longest]


def _field(status: list[str], key: str) -> str:
    return next((line[len(key) :] for line in status if line.startswith(key)), "")
