"""The few requests to the kernel's routing socket that a wire needs: links, addresses, neighbours, routes.

No program of the host is asked (``ip`` is not everywhere). Sources: rtnetlink(7), RFC 3549, and the kernel's
``include/uapi/linux/{netlink,rtnetlink,if_link,if_addr,neighbour,veth}.h``.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import struct
from typing import Union

Address = Union[ipaddress.IPv4Address, ipaddress.IPv6Address]

_NEW_LINK, _NEW_ADDRESS, _NEW_ROUTE, _NEW_NEIGHBOUR = 16, 20, 24, 28
_REQUEST, _ACK, _EXCLUSIVE, _CREATE = 0x1, 0x4, 0x200, 0x400
_ERROR = 2
_LINK_NAME, _LINK_INFO, _LINK_AF_SPEC, _LINK_NETNS_FD = 3, 18, 26, 28
_INFO_KIND, _INFO_DATA, _VETH_PEER = 1, 2, 1
_INET6_GENERATION, _GENERATE_NOTHING = 8, b"\1"
_ADDRESS, _LOCAL, _WITHOUT_DETECTION = 1, 2, 0x02
_DESTINATION, _OUT_LINK, _GATEWAY = 1, 4, 5
_NEIGHBOUR_ADDRESS, _NEIGHBOUR_LINK, _PERMANENT = 1, 2, 0x80
_MAIN_TABLE, _STATIC, _UNICAST, _ON_LINK, _EVERYWHERE = 254, 4, 1, 253, 0
_UP = 1
_ANSWER_SIZE = 65536
_TIMEOUT_S = 60.0  # one lock of the kernel serves all changes of networks on a host


class Netlink:
    """A routing socket of the name space that the calling thread is in; ``close`` ends it."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)  # NETLINK_ROUTE
        self._socket.settimeout(_TIMEOUT_S)
        self._socket.bind((0, 0))
        self._sequence = 0

    def close(self) -> None:
        """Give the socket back."""
        self._socket.close()

    def add_pair(self, name: str, peer: str, namespace_fd: int) -> None:
        """A veth pair: ``name`` here, ``peer`` in the name space behind the descriptor. OSError where it cannot be."""
        there = _link(0, 0) + _attribute(_LINK_NAME, _text(peer))
        there += _attribute(_LINK_NETNS_FD, struct.pack("I", namespace_fd))
        info = _attribute(_INFO_KIND, b"veth") + _attribute(_INFO_DATA, _attribute(_VETH_PEER, there))
        body = _link(0, 0) + _attribute(_LINK_NAME, _text(name)) + _attribute(_LINK_INFO, info)
        self._ask(_NEW_LINK, _CREATE | _EXCLUSIVE, body)

    def keep_quiet(self, index: int) -> None:
        """Let the link make no IPv6 address of its own; a kernel without IPv6 has nothing to keep quiet."""
        mode = _attribute(socket.AF_INET6, _attribute(_INET6_GENERATION, _GENERATE_NOTHING))
        try:
            self._ask(_NEW_LINK, 0, _link(index, 0) + _attribute(_LINK_AF_SPEC, mode))
        except OSError as error:
            if error.errno not in {errno.EAFNOSUPPORT, errno.EOPNOTSUPP, errno.EINVAL}:
                raise

    def set_up(self, index: int) -> None:
        """Switch the link on."""
        self._ask(_NEW_LINK, 0, _link(index, _UP))

    def add_address(self, index: int, address: Address) -> None:
        """Give the link an address that has no neighbours: all others are reached through a gateway."""
        head = struct.pack("BBBBI", _family(address), address.max_prefixlen, _WITHOUT_DETECTION, 0, index)
        body = head + _attribute(_ADDRESS, address.packed) + _attribute(_LOCAL, address.packed)
        self._ask(_NEW_ADDRESS, _CREATE | _EXCLUSIVE, body)

    def add_neighbour(self, index: int, address: Address, link_address: bytes) -> None:
        """Say once and for all where ``address`` is, so that nobody asks the wire."""
        head = struct.pack("BxxxiHBB", _family(address), index, _PERMANENT, 0, 0)
        body = head + _attribute(_NEIGHBOUR_ADDRESS, address.packed) + _attribute(_NEIGHBOUR_LINK, link_address)
        self._ask(_NEW_NEIGHBOUR, _CREATE, body)

    def add_default_route(self, index: int, gateway: Address) -> None:
        """Send everything through ``gateway``, which is beside the link."""
        bits = gateway.max_prefixlen
        beside = _attribute(_DESTINATION, gateway.packed) + _attribute(_OUT_LINK, struct.pack("I", index))
        self._ask(_NEW_ROUTE, _CREATE, _route(gateway, bits, _ON_LINK) + beside)
        through = _attribute(_GATEWAY, gateway.packed) + _attribute(_OUT_LINK, struct.pack("I", index))
        self._ask(_NEW_ROUTE, _CREATE, _route(gateway, 0, _EVERYWHERE) + through)

    def _ask(self, kind: int, flags: int, body: bytes) -> None:
        """Send one request and read its acknowledgement; OSError as the kernel says it."""
        self._sequence += 1
        head = struct.pack("IHHII", 16 + len(body), kind, flags | _REQUEST | _ACK, self._sequence, 0)
        self._socket.send(head + body)
        while True:
            answer = self._socket.recv(_ANSWER_SIZE)
            _, answered, _, sequence, _ = struct.unpack_from("IHHII", answer)
            if sequence == self._sequence and answered == _ERROR:
                break
        (code,) = struct.unpack_from("i", answer, 16)
        if code:
            raise OSError(-code, os.strerror(-code))


def _attribute(kind: int, value: bytes) -> bytes:
    size = 4 + len(value)
    return struct.pack("HH", size, kind) + value + bytes(-size % 4)


def _text(value: str) -> bytes:
    return value.encode() + b"\0"


def _link(index: int, flags: int) -> bytes:
    """``struct ifinfomsg``; only the flags that are given are changed."""
    return struct.pack("BxHiII", 0, 0, index, flags, flags)


def _route(address: Address, bits: int, scope: int) -> bytes:
    """``struct rtmsg`` for a route of the main table."""
    return struct.pack("BBBBBBBBI", _family(address), bits, 0, 0, _MAIN_TABLE, _STATIC, scope, _UNICAST, 0)


def _family(address: Address) -> int:
    return socket.AF_INET if address.version == 4 else socket.AF_INET6
