"""What a packet wanted: protocol, address, port and the name asked for, out of the bytes of an Ethernet frame.

Anything may stand in a frame; what cannot be read further is told by what was read. Innocent is what a host says on
every wire by itself: neighbour and router discovery, and which multicast groups it listens to.

Sources: RFC 791 (IPv4), RFC 8200 (IPv6, section 4: extension headers), RFC 9293 (TCP), RFC 768 (UDP), RFC 4443
(ICMPv6), RFC 4861 (neighbour discovery), RFC 3810 (MLDv2), RFC 9000 (QUIC).
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Optional

from bundler.installer.egress.questions import Question, read_question

_ETHERNET_SIZE = 14
_IPV4, _IPV6, _ARP, _VLAN = 0x0800, 0x86DD, 0x0806, 0x8100
_ICMP, _IGMP, _TCP, _UDP, _ICMPV6 = 1, 2, 6, 17, 58
#: IPv6 headers that stand before what is sent: hop by hop, routing, destination options; a fragment's apart.
_EXTENSIONS, _FRAGMENT = frozenset({0, 43, 60}), 44
#: MLD, router and neighbour discovery, redirects.
_INNOCENT_ICMPV6 = frozenset({130, 131, 132, 133, 134, 135, 136, 137, 143})
_ROUTER_ICMP = frozenset({9, 10})
_DNS_PORTS, _QUIC_PORT = frozenset({53, 5353, 5355}), 443
_LONGEST_CHAIN = 16


@dataclass(frozen=True)
class Packet:
    """Where a packet was sent; ``source_port`` (an echo's id for ICMP) leads to the socket that it came from."""

    protocol: str
    address: str
    port: Optional[int]
    source_port: Optional[int]
    question: Optional[Question] = None


def read_frame(frame: bytes) -> Optional[Packet]:
    """The packet in an Ethernet frame; None where it is innocent."""
    kind, start = int.from_bytes(frame[12:14], "big"), _ETHERNET_SIZE
    if kind == _VLAN:
        kind, start = int.from_bytes(frame[16:18], "big"), start + 4
    if kind == _IPV4:
        return _read_ipv4(frame[start:])
    if kind == _IPV6:
        return _read_ipv6(frame[start:])
    return None if kind == _ARP else Packet(f"Ethernet {kind:#06x}", "no address", None, None)


def _read_ipv4(packet: bytes) -> Optional[Packet]:
    if len(packet) < 20 or packet[0] >> 4 != 4:
        return Packet("IPv4", "not readable", None, None)
    address = str(ipaddress.IPv4Address(packet[16:20]))
    body = packet[max(20, (packet[0] & 15) * 4) :]
    protocol = packet[9]
    if protocol == _IGMP:
        return None
    if int.from_bytes(packet[6:8], "big") & 0x1FFF:
        return Packet("IPv4 fragment", address, None, None)
    if protocol == _ICMP:
        return None if body[:1] and body[0] in _ROUTER_ICMP else Packet("ICMP", address, None, _echo_id(body))
    return _read_transport(protocol, body, address, "IPv4")


def _read_ipv6(packet: bytes) -> Optional[Packet]:
    if len(packet) < 40 or packet[0] >> 4 != 6:
        return Packet("IPv6", "not readable", None, None)
    address = str(ipaddress.IPv6Address(packet[24:40]))
    protocol, body = packet[6], packet[40:]
    for _ in range(_LONGEST_CHAIN):
        if protocol == _FRAGMENT:
            if int.from_bytes(body[2:4], "big") >> 3:
                return Packet("IPv6 fragment", address, None, None)
            protocol, body = _next_header(body, 8)
        elif protocol in _EXTENSIONS:
            protocol, body = _next_header(body, (body[1] + 1) * 8 if len(body) > 1 else 8)
        else:
            break
    if protocol == _ICMPV6:
        innocent = body[:1] and body[0] in _INNOCENT_ICMPV6
        return None if innocent else Packet("ICMPv6", address, None, _echo_id(body))
    return _read_transport(protocol, body, address, "IPv6")


def _next_header(body: bytes, size: int) -> tuple[int, bytes]:
    """The kind of what follows a header of ``size`` bytes, and its bytes; 59 (nothing follows) where it is cut off."""
    return (body[0], body[size:]) if body else (59, b"")


def _echo_id(body: bytes) -> Optional[int]:
    """What the kernel tells sockets of ping by; None where it is no echo."""
    return int.from_bytes(body[4:6], "big") if len(body) >= 6 and body[0] in {8, 128} else None


def _read_transport(protocol: int, body: bytes, address: str, family: str) -> Packet:
    if protocol not in {_TCP, _UDP}:
        return Packet(f"{family} protocol {protocol}", address, None, None)
    name = "TCP" if protocol == _TCP else "UDP"
    if len(body) < 4:
        return Packet(name, address, None, None)
    source, port = int.from_bytes(body[:2], "big"), int.from_bytes(body[2:4], "big")
    if protocol == _UDP and port in _DNS_PORTS:
        question = read_question(body[8:])
        return Packet("DNS" if question else "UDP", address, port, source, question)
    return Packet("QUIC" if protocol == _UDP and port == _QUIC_PORT else name, address, port, source)
