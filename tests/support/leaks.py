"""Commands that call out, by what they are; names and addresses are those that documentation uses, or never asked."""

from __future__ import annotations

from tests.support.calling_out import Leak, python, sh

# Whose process has to be told waits three seconds for an answer: it is looked up while it lives, on a busy host too.
#: Any engine: busybox, and a static program whose first act it is.
QUICK_LEAKS = {
    "a static program's first act": Leak(("/leak", "x", "y"), "UDP", "192.0.2.1", 9),
    "a shell's first act": Leak(sh("busybox nc -w 3 198.51.100.7 8080 </dev/null"), "TCP", "198.51.100.7", 8080, "nc"),
    "a shell's child": Leak(sh("/leak x y"), "UDP", "192.0.2.1", 9),
    "a question alone": Leak(sh("busybox nslookup -type=a huggingface.co"), "DNS", "huggingface.co", 53, "nslookup"),
}
SHELL_LEAKS = {
    "a static program's question": Leak(("/leak", "x", "y"), "DNS", "control.bundler.invalid", 53),
    "TCP over IPv6": Leak(sh("busybox nc -w 3 2001:db8:1::7 443 </dev/null"), "TCP", "2001:db8:1::7", 443, "nc"),
    "an attempt that is swallowed": Leak(
        sh("busybox nc -w 3 198.51.100.20 80 </dev/null 2>/dev/null || true; echo fine"), "TCP", "198.51.100.20", 80
    ),
    "its own range": Leak(sh("busybox nc -w 3 192.0.2.77 80 </dev/null"), "TCP", "192.0.2.77", 80, "nc"),
    "an attempt later on": Leak(
        sh("sleep 3; busybox nc -w 3 198.51.100.7 25 </dev/null"), "TCP", "198.51.100.7", 25, "nc"
    ),
    "a child in the background": Leak(
        sh("(busybox nc -w 3 198.51.100.8 80 </dev/null &) ; sleep 3"), "TCP", "198.51.100.8", 80, "nc"
    ),
    "a name server of its own": Leak(
        sh("busybox nslookup example.org 203.0.113.53"), "DNS", "203.0.113.53", 53, "nslookup"
    ),
}
_CTYPES = """
    import ctypes, socket, struct
    library = ctypes.CDLL(None, use_errno=True)
    number = library.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK, 0)
    target = struct.pack("<H", socket.AF_INET) + struct.pack(">H", 443) + socket.inet_aton("203.0.113.7") + bytes(8)
    library.connect(number, target, len(target))
"""
_SWALLOWED = """
    import urllib.request
    try:
        urllib.request.urlopen("http://203.0.113.9:8000/telemetry", timeout=3)
    except OSError:
        print("fine")
"""
_UDP = """
    import socket
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"service.start:1|c", ("203.0.113.8", 8125))
"""
_QUIC_6 = """
    import socket
    sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    sock.connect(("2001:db8:7::1", 443))
    sock.send(b"\\xc3\\0\\0\\0\\1" + bytes(1195))
"""
_PING = """
    import socket
    sock = socket.socket(socket.{family}, socket.SOCK_DGRAM, socket.{protocol})
    sock.sendto(bytes([{kind}, 0, 0, 0, 0, 0, 0, 1]) + b"anybody?", ({address!r}, 0))
    sock.settimeout(3)
    try:
        sock.recv(100)
    except OSError:
        pass
"""
_PING_4 = _PING.format(family="AF_INET", protocol="IPPROTO_ICMP", kind=8, address="198.51.100.9")
_PING_6 = _PING.format(family="AF_INET6", protocol="IPPROTO_ICMPV6", kind=128, address="2001:db8:1::9")
DEBIAN_LEAKS = {
    "ping": Leak(python(_PING_4), "ICMP", "198.51.100.9", None, "python3"),
    "ping over IPv6": Leak(python(_PING_6), "ICMPv6", "2001:db8:1::9", None, "python3"),
    "a shell's /dev/tcp": Leak(
        ("bash", "-c", "exec timeout 3 bash -c 'echo >/dev/tcp/203.0.113.5/443'"), "TCP", "203.0.113.5", 443, "bash"
    ),
    "ctypes": Leak(python(_CTYPES), "TCP", "203.0.113.7", 443),
    "an exception that Python swallows": Leak(python(_SWALLOWED), "TCP", "203.0.113.9", 8000, "python3"),
    "telemetry": Leak(python(_UDP), "UDP", "203.0.113.8", 8125),
    "QUIC over IPv6": Leak(python(_QUIC_6), "QUIC", "2001:db8:7::1", 443),
    "a name in Python": Leak(
        python("import socket\ntry:\n    socket.getaddrinfo('pypi.org', 443)\nexcept OSError:\n    pass"),
        *("DNS", "pypi.org", 53, "python3"),
    ),
}
