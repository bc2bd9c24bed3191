"""The program in the holder's image: a static ELF of a few hundred bytes that pauses, or sends the control and ends.

It is written here, instruction by instruction (`elf`). With one argument it only waits. With two it first sends one UDP
packet to port 9 (discard) of the gateway and one DNS question for ``control.bundler.invalid`` to the name server, and
that is all that it does: the positive control comes from a container as a service's first act would.

Sources: numbers of system calls from the kernel's ``arch/x86/entry/syscalls/syscall_64.tbl`` and
``include/uapi/asm-generic/unistd.h``; Intel SDM volume 2; Arm ARM C6.
"""

from __future__ import annotations

import ipaddress
import socket
import struct

from bundler.installer.egress.elf import executable
from bundler.installer.egress.wire import GATEWAY, NAME_SERVER

CONTROL_NAME = "control.bundler.invalid"
CONTROL_PORT, DNS_PORT = 9, 53
_ADDRESS_SIZE = 16


def program(architecture: str) -> bytes:
    """The whole file for one of ``ARCHITECTURES``; the same bytes each time."""
    return executable(architecture, _amd64() if architecture == "amd64" else _arm64())


def _messages() -> tuple[tuple[bytes, bytes], ...]:
    """Each message with the address that it goes to (``struct sockaddr_in``)."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in CONTROL_NAME.split("."))
    question = b"\xb0\xd1\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00" + labels + b"\x00\x00\x01\x00\x01"
    return (b"bundler", _target(GATEWAY, CONTROL_PORT)), (question, _target(NAME_SERVER, DNS_PORT))


def _target(address: ipaddress.IPv4Address, port: int) -> bytes:
    return struct.pack("<H", socket.AF_INET) + struct.pack(">H", port) + address.packed + bytes(8)


def _with_data(size: int) -> tuple[bytes, list[tuple[int, int]]]:
    """Messages and addresses as they stand behind ``size`` bytes of code, and where each pair begins in the whole."""
    place = size + -size % 4
    data, places = bytes(-size % 4), []
    for message, address in _messages():
        padded = message + bytes(-len(message) % 4)
        places.append((place, place + len(padded)))
        data += padded + address
        place += len(padded) + _ADDRESS_SIZE
    return data, places


def _amd64() -> bytes:
    # push 41; pop rax; push 2; pop rdi; push 2; pop rsi; xor edx,edx; syscall; mov ebp,eax   (socket)
    opened = bytes.fromhex("6a2958 6a025f 6a025e 31d2 0f05 89c5")
    send_size = 37
    # xor edi,edi; push 60; pop rax; syscall   (exit)
    ended = bytes.fromhex("31ff 6a3c58 0f05")
    wait = bytes.fromhex("6a2258 0f05 ebf9")  # push 34; pop rax; syscall; jmp back   (pause)
    # cmp dword [rsp],3; jne to the waiting
    asked = bytes.fromhex("833c2403 75") + bytes([len(opened) + 2 * send_size + len(ended)])
    data, places = _with_data(len(asked + opened) + 2 * send_size + len(ended + wait))
    code = asked + opened
    for (message, _), (at, to) in zip(_messages(), places):
        code += _amd64_send(len(code), len(message), at, to)
    return code + ended + wait + data


def _amd64_send(here: int, size: int, at: int, to: int) -> bytes:
    """``sendto``: mov edi,ebp; lea rsi,[rip+…]; mov edx,size; xor r10d,r10d; lea r8,[rip+…]; mov r9d,16; mov eax,44."""
    code = bytes.fromhex("89ef 488d35") + struct.pack("<i", at - (here + 9))
    code += b"\xba" + struct.pack("<I", size) + bytes.fromhex("4531d2 4c8d05") + struct.pack("<i", to - (here + 24))
    return code + bytes.fromhex("41b910000000 b82c000000 0f05")


def _arm64() -> bytes:
    # mov x8,198; mov x0,2; mov x1,2; mov x2,0; svc; mov x19,x0   (socket)
    opened = _words(0xD28018C8, 0xD2800040, 0xD2800041, 0xD2800002, 0xD4000001, 0xAA0003F3)
    send_size = 32
    # mov x0,0; mov x8,93; svc   (exit)
    ended = _words(0xD2800000, 0xD2800BA8, 0xD4000001)
    # mov x0..x4,0; mov x8,73; svc; b back   (ppoll: this architecture has no pause)
    wait = _words(*(0xD2800000 | number for number in range(5)), 0xD2800928, 0xD4000001, 0x17FFFFF9)
    # ldr x9,[sp]; cmp x9,3; b.ne to the waiting
    away = (4 + len(opened) + 2 * send_size + len(ended)) // 4
    asked = _words(0xF94003E9, 0xF1000D3F, 0x54000001 | away << 5)
    data, places = _with_data(len(asked + opened) + 2 * send_size + len(ended + wait))
    code = asked + opened
    for (message, _), (at, to) in zip(_messages(), places):
        code += _arm64_send(len(code), len(message), at, to)
    return code + ended + wait + data


def _arm64_send(here: int, size: int, at: int, to: int) -> bytes:
    """``sendto``: mov x0,x19; adr x1,…; mov x2,size; mov x3,0; adr x4,…; mov x5,16; mov x8,206; svc."""
    message, address = (0x10000000 | (place // 4) << 5 for place in (at - here - 4, to - here - 16))
    return _words(
        0xAA1303E0,
        message | 1,
        0xD2800002 | size << 5,
        0xD2800003,
        address | 4,
        0xD2800205,
        0xD28019C8,
        0xD4000001,
    )


def _words(*words: int) -> bytes:
    return struct.pack(f"<{len(words)}I", *words)
