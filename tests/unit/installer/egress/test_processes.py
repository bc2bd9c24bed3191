"""Telling which process a packet came from, by this process's own sockets."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

from bundler.installer.egress.packets import Packet
from bundler.installer.egress.processes import Processes

CHILD = """
import socket, sys
sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
sock.bind(("::", 0))
print(sock.getsockname()[1], flush=True)
sys.stdin.read()
"""


def test_the_owner_of_a_socket_is_told() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
        sender = Processes(os.getpid()).sender(Packet("UDP", "203.0.113.1", 53, port))
        assert sender is not None
        assert sender.endswith(f" (process {os.getpid()})")
    assert Processes(os.getpid()).sender(Packet("UDP", "203.0.113.1", 53, port)) is None


def test_a_child_and_its_command_are_told() -> None:
    argv = [sys.executable, "-c", CHILD, "a\x1b[31m\nname"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        sender = Processes(os.getpid()).sender(Packet("QUIC", "2001:db8::1", 443, port))
        process.communicate(b"")
    assert sender is not None
    assert sys.executable in sender
    assert "\x1b" not in sender
    assert "\n" not in sender


def test_a_packet_without_a_port_has_no_owner() -> None:
    assert Processes(os.getpid()).sender(Packet("IPv4 protocol 132", "203.0.113.1", None, None)) is None
    assert Processes(os.getpid()).sender(Packet("ICMP", "203.0.113.1", None, 1)) is None
