"""Frames as they come from a wire, built by hand from their RFCs: what each is told as, and which are innocent."""

from __future__ import annotations

import ipaddress
import random
import struct

import pytest

from bundler.installer.egress.packets import Packet, read_frame
from bundler.installer.egress.questions import Question

MACS = bytes.fromhex("020000005301 c69b4ed0a17e")
V4, V6 = ipaddress.IPv4Address("192.0.2.2").packed, ipaddress.IPv6Address("2001:db8::2").packed
# A whole SYN to 192.0.2.77:443 from port 35050, as Linux sends it: IPv4, 20 bytes of options.
SYN = bytes.fromhex(
    "020000005301 229c0064cc93 0800"
    "4500003c2a0e400040068c5ec0000202c000024d"
    "88ea01bb 0e4251a0 00000000 a002faf0 85a10000"
    "020405b4 0402080a 8d3a12f1 00000000 01030307"
)


def ipv4(protocol: int, body: bytes, to: str = "198.51.100.7", offset: int = 0, options: bytes = b"") -> bytes:
    words, length = 5 + len(options) // 4, 20 + len(options) + len(body)
    head = struct.pack(">BBHHHBBH", 0x40 | words, 0, length, 1, offset, 64, protocol, 0)
    return MACS + b"\x08\x00" + head + V4 + ipaddress.IPv4Address(to).packed + options + body


def ipv6(protocol: int, body: bytes, to: str = "2001:db8:1::7") -> bytes:
    head = struct.pack(">IHBB", 6 << 28, len(body), protocol, 64)
    return MACS + b"\x86\xdd" + head + V6 + ipaddress.IPv6Address(to).packed + body


def tcp(port: int, source: int = 40000) -> bytes:
    return struct.pack(">HHIIBBHHH", source, port, 1, 0, 0x50, 0x02, 64240, 0, 0)


def udp(port: int, content: bytes = b"x", source: int = 40000) -> bytes:
    return struct.pack(">HHHH", source, port, 8 + len(content), 0) + content


def question(name: str, kind: int) -> bytes:
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return bytes.fromhex("7a10 0100 0001 0000 0000 0000") + labels + b"\0" + struct.pack(">HH", kind, 1)


def icmpv6(kind: int) -> bytes:
    return struct.pack(">BBHHH", kind, 0, 0, 0x1234, 1) + bytes(16)


TOLD = {
    "a SYN as captured": (SYN, Packet("TCP", "192.0.2.77", 443, 35050)),
    "TCP": (ipv4(6, tcp(8080)), Packet("TCP", "198.51.100.7", 8080, 40000)),
    "TCP behind IPv4 options": (ipv4(6, tcp(1), options=bytes(8)), Packet("TCP", "198.51.100.7", 1, 40000)),
    "TCP over IPv6": (ipv6(6, tcp(443)), Packet("TCP", "2001:db8:1::7", 443, 40000)),
    "UDP": (ipv4(17, udp(8125)), Packet("UDP", "198.51.100.7", 8125, 40000)),
    "UDP over IPv6": (ipv6(17, udp(8125)), Packet("UDP", "2001:db8:1::7", 8125, 40000)),
    "a broadcast": (ipv4(17, udp(67), "255.255.255.255"), Packet("UDP", "255.255.255.255", 67, 40000)),
    "QUIC": (ipv4(17, udp(443, b"\xc3\0\0\0\x01")), Packet("QUIC", "198.51.100.7", 443, 40000)),
    "QUIC over IPv6": (ipv6(17, udp(443)), Packet("QUIC", "2001:db8:1::7", 443, 40000)),
    "DNS, A": (
        ipv4(17, udp(53, question("huggingface.co", 1))),
        Packet("DNS", "198.51.100.7", 53, 40000, Question("huggingface.co", "A")),
    ),
    "DNS, AAAA, over IPv6": (
        ipv6(17, udp(53, question("cdn-lfs.hf.co", 28))),
        Packet("DNS", "2001:db8:1::7", 53, 40000, Question("cdn-lfs.hf.co", "AAAA")),
    ),
    "DNS, an unknown kind": (
        ipv4(17, udp(53, question("a", 999))),
        Packet("DNS", "198.51.100.7", 53, 40000, Question("a", "type 999")),
    ),
    "DNS, the root": (
        ipv4(17, udp(53, question("a", 2)[:12] + b"\0\0\2\0\1")),
        Packet("DNS", "198.51.100.7", 53, 40000, Question(".", "NS")),
    ),
    "port 53 without a question": (ipv4(17, udp(53, b"hello")), Packet("UDP", "198.51.100.7", 53, 40000)),
    "DNS over TCP": (ipv4(6, tcp(53)), Packet("TCP", "198.51.100.7", 53, 40000)),
    "mDNS": (
        ipv4(17, udp(5353, question("printer.local", 12)), "224.0.0.251"),
        Packet("DNS", "224.0.0.251", 5353, 40000, Question("printer.local", "PTR")),
    ),
    "ping": (ipv4(1, bytes.fromhex("0800 0000 1234 0001")), Packet("ICMP", "198.51.100.7", None, 0x1234)),
    "ping over IPv6": (ipv6(58, icmpv6(128)), Packet("ICMPv6", "2001:db8:1::7", None, 0x1234)),
    "another protocol": (ipv4(132, bytes(12)), Packet("IPv4 protocol 132", "198.51.100.7", None, None)),
    "another over IPv6": (ipv6(132, bytes(12)), Packet("IPv6 protocol 132", "2001:db8:1::7", None, None)),
    "a later fragment": (ipv4(17, bytes(8), offset=185), Packet("IPv4 fragment", "198.51.100.7", None, None)),
    "a first fragment": (ipv4(17, udp(9), offset=0x2000), Packet("UDP", "198.51.100.7", 9, 40000)),
    "IPv6, behind two headers": (
        ipv6(0, b"\x3c\0" + bytes(6) + b"\x06\x01" + bytes(14) + tcp(22)),
        Packet("TCP", "2001:db8:1::7", 22, 40000),
    ),
    "IPv6, a first fragment": (
        ipv6(44, b"\x11\0\0\x01" + bytes(4) + udp(9)),
        Packet("UDP", "2001:db8:1::7", 9, 40000),
    ),
    "IPv6, a later fragment": (
        ipv6(44, b"\x11\0\x05\xa8" + bytes(4)),
        Packet("IPv6 fragment", "2001:db8:1::7", None, None),
    ),
    "within a VLAN": (
        MACS + b"\x81\x00\x00\x05" + ipv4(6, tcp(80))[12:],
        Packet("TCP", "198.51.100.7", 80, 40000),
    ),
    "no IP at all": (MACS + b"\x88\xcc" + bytes(20), Packet("Ethernet 0x88cc", "no address", None, None)),
}

INNOCENT = {
    "ARP": MACS + b"\x08\x06" + bytes(28),
    "IGMP": ipv4(2, bytes(8), "224.0.0.22"),
    "router solicitation": ipv6(58, icmpv6(133), "ff02::2"),
    "neighbour solicitation": ipv6(58, icmpv6(135), "ff02::1:ff00:2"),
    "neighbour advertisement": ipv6(58, icmpv6(136), "ff02::1"),
    "MLD report": ipv6(0, b"\x3a\0\x05\x02\0\0\0\0" + icmpv6(143), "ff02::16"),
    "MLD, first version": ipv6(0, b"\x3a\0\x05\x02\0\0\0\0" + icmpv6(131), "ff02::2"),
    "router solicitation, IPv4": ipv4(1, bytes.fromhex("0a00 0000 0000 0000"), "224.0.0.2"),
}


@pytest.mark.parametrize("case", TOLD)
def test_an_attempt_is_told_as_what_it_is(case: str) -> None:
    frame, expected = TOLD[case]
    assert read_frame(frame) == expected


@pytest.mark.parametrize("case", INNOCENT)
def test_what_every_host_says_is_innocent(case: str) -> None:
    assert read_frame(INNOCENT[case]) is None


@pytest.mark.parametrize("case", TOLD)
def test_a_cut_frame_is_read_as_far_as_it_goes(case: str) -> None:
    frame = TOLD[case][0]
    for size in range(len(frame)):
        read_frame(frame[:size])


def test_a_cut_attempt_is_still_an_attempt() -> None:
    frame = ipv4(6, tcp(80))
    assert read_frame(frame[:20]) == Packet("IPv4", "not readable", None, None)
    assert read_frame(frame[:36]) == Packet("TCP", "198.51.100.7", None, None)
    assert read_frame(ipv6(6, tcp(80))[:30]) == Packet("IPv6", "not readable", None, None)


def test_noise_is_survived() -> None:
    chance = random.Random(5)
    frames = [frame for frame, _ in TOLD.values()] + list(INNOCENT.values())
    for _ in range(5000):
        frame = bytearray(chance.choice(frames))
        for _ in range(chance.randrange(1, 9)):
            frame[chance.randrange(len(frame))] = chance.randrange(256)
        read_frame(bytes(frame))
        read_frame(chance.randbytes(chance.randrange(120)))


def test_a_name_cannot_disturb_the_terminal() -> None:
    packet = read_frame(ipv4(17, udp(53, question("a\x1b[31m\n.example", 1))))
    assert packet is not None
    assert packet.question == Question("a\\027[31m\\010.example", "A")


@pytest.mark.parametrize("message", ["answer", "pointer", "too long"])
def test_what_is_no_question_is_told_as_udp(message: str) -> None:
    whole = question("example.org", 1)
    content = {
        "answer": whole[:2] + b"\x81" + whole[3:],
        "pointer": whole[:12] + b"\xc0\x0c\0\1\0\1",
        "too long": question(".".join(["a" * 60] * 6), 1),
    }[message]
    packet = read_frame(ipv4(17, udp(53, content)))
    assert packet is not None
    assert (packet.protocol, packet.question) == ("UDP", None)
