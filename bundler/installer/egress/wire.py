"""The wire: a veth pair from a container's network name space into one that nobody else knows.

Its outer end stands in a name space of its own, which lives as long as the socket that listens there. So nothing of it is
seen on the host, nothing of the host disturbs it, and the kernel removes both ends when this process ends, however it
ends. Inside there is an address, a default route through a neighbour with a fixed link address, for IPv4 and IPv6, and
nothing behind it: what is sent anywhere comes out at the outer end, and no answer comes back.

Sources: setns(2), unshare(2), veth(4), packet(7). ``os.setns`` exists from Python 3.12 on.
"""

from __future__ import annotations

import ctypes
import ipaddress
import os
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

from bundler.installer.egress.netlink import Netlink

#: Of the ranges that documentation uses (RFC 5737, RFC 3849): no host has them.
INSIDE, GATEWAY = ipaddress.IPv4Address("192.0.2.2"), ipaddress.IPv4Address("192.0.2.1")
NAME_SERVER = ipaddress.IPv4Address("192.0.2.53")
#: What a check's host is called.
HOST_NAME = "bundler-check"
INSIDE_6, GATEWAY_6 = ipaddress.IPv6Address("2001:db8::2"), ipaddress.IPv6Address("fe80::1")
_GATEWAY_LINK = bytes.fromhex("020000005301")
_OUTER, _INNER = "wire", "eth0"
_NEW_NETWORK = 0x40000000  # CLONE_NEWNET
_EVERY_PROTOCOL = 0x0003  # ETH_P_ALL
_BUFFER_SIZE = 32 << 20
_BUFFER_FORCED = 33  # SO_RCVBUFFORCE


def kernel_has_ipv6() -> bool:
    """Whether this kernel was started with IPv6."""
    return Path("/proc/sys/net/ipv6/conf").is_dir()


def lay_wire(namespace: Path) -> socket.socket:
    """Put the wire into ``namespace`` (``/proc/<pid>/ns/net``); gives the socket that reads its outer end.

    Raises OSError where the kernel does not allow it or has no veth. A name space belongs to a thread: the one that
    does this ends with it, and the caller's stays where it is.
    """
    with ThreadPoolExecutor(max_workers=1) as pool:
        return pool.submit(_lay, namespace).result()


def _lay(namespace: Path) -> socket.socket:
    inside = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _call("unshare", _NEW_NETWORK)
        reader = _outer_end(inside)
        try:
            _call("setns", inside, _NEW_NETWORK)
            _inner_end()
        except BaseException:
            reader.close()
            raise
        return reader
    finally:
        os.close(inside)


def _outer_end(inside: int) -> socket.socket:
    """The pair, and the reader at this end of it; it listens before the other end is switched on."""
    reader = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_EVERY_PROTOCOL))
    try:
        reader.setsockopt(socket.SOL_SOCKET, _BUFFER_FORCED, _BUFFER_SIZE)
        with closing(Netlink()) as netlink:
            netlink.add_pair(_OUTER, _INNER, inside)
            index = socket.if_nametoindex(_OUTER)
            netlink.keep_quiet(index)
            netlink.set_up(index)
            reader.bind((_OUTER, _EVERY_PROTOCOL))
    except BaseException:
        reader.close()
        raise
    return reader


def _inner_end() -> None:
    with closing(Netlink()) as netlink:
        index = socket.if_nametoindex(_INNER)
        netlink.keep_quiet(index)
        netlink.set_up(index)
        netlink.add_address(index, INSIDE)
        netlink.add_neighbour(index, GATEWAY, _GATEWAY_LINK)
        netlink.add_default_route(index, GATEWAY)
        if kernel_has_ipv6():
            netlink.add_address(index, INSIDE_6)
            netlink.add_neighbour(index, GATEWAY_6, _GATEWAY_LINK)
            netlink.add_default_route(index, GATEWAY_6)


def _call(name: str, *arguments: int) -> None:
    """A system call of the C library for the calling thread alone; OSError where it fails."""
    library = ctypes.CDLL(None, use_errno=True)
    if getattr(library, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
