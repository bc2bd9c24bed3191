"""Leaks of real software: libraries and programs as services use them, each with what has to be told of it.

None waits before it calls out, but the one whose point it is. Names are only asked for; addresses are those that
documentation uses.
"""

from __future__ import annotations

from tests.support.calling_out import Leak, python
from tests.support.leaks import DEBIAN_LEAKS

_REQUESTS = """
    import requests
    requests.get("https://huggingface.co/api/models/acme/tiny", timeout=2)
"""
_HTTPX = """
    import asyncio, httpx
    async def fetch():
        async with httpx.AsyncClient(timeout=2) as client:
            await client.get("https://cdn-lfs.hf.co/repos/acme/tiny/model.safetensors")
    asyncio.run(fetch())
"""
# Python itself may not use sockets here: what calls out is the library's own code, which no hook of Python's sees. It
# would try for minutes; two rounds of questions are enough, as the kernel counts them.
_XET = """
    import hf_xet, os, sys, threading, time
    def no_sockets(event, arguments):
        if event.startswith("socket."):
            raise PermissionError(event)
    def sent():
        with open("/proc/net/snmp") as counters:
            return int([line for line in counters if line.startswith("Udp:")][1].split()[4])
    def download():
        with hf_xet.XetSession().new_file_download_group(endpoint="https://cas-server.xethub.hf.co") as group:
            group.start_download_file(hf_xet.XetFileInfo("a" * 64, 1000), "/tmp/model.safetensors")
    sys.addaudithook(no_sockets)
    before = sent()
    threading.Thread(target=download, daemon=True).start()
    while sent() < before + 4:
        time.sleep(0.1)
    os._exit(0)
"""
_CURL = """
    import subprocess
    subprocess.run(["curl", "--silent", "--max-time", "2", "https://203.0.113.10/model.safetensors"])
"""
# The process waits in the call, as whoever connects does; its time runs out, since nobody answers.
_CTYPES = """
    import ctypes, socket, struct
    library = ctypes.CDLL(None, use_errno=True)
    number = library.socket(socket.AF_INET, socket.SOCK_STREAM, 0)
    seconds = struct.pack("@ll", 3, 0)
    library.setsockopt(number, socket.SOL_SOCKET, socket.SO_SNDTIMEO, seconds, len(seconds))
    target = struct.pack("<H", socket.AF_INET) + struct.pack(">H", 443) + socket.inet_aton("203.0.113.7") + bytes(8)
    library.connect(number, target, len(target))
"""
_STATSD = """
    import socket, time
    metrics = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for number in range(8):
        metrics.sendto(b"service.requests:%d|c" % number, ("203.0.113.8", 8125))
        time.sleep(0.25)
"""
_HUB_CLIENT = """
    import huggingface_hub
    try:
        huggingface_hub.model_info("acme/tiny", timeout=2)
    except Exception:
        print("fine without")
"""
_TORCH = """
    import sys
    sys.path.insert(0, "/opt/reference")
    import torch
    try:
        torch.hub.load_state_dict_from_url("https://download.pytorch.org/models/resnet18.pth", "/tmp/models")
    except OSError:
        print("fine without")
"""
_LATER = """
    import time, urllib.request
    time.sleep(20)
    try:
        urllib.request.urlopen("http://198.51.100.30:8086/write", data=b"up 1", timeout=3)
    except OSError:
        pass
"""
REAL_LEAKS = {
    "requests, from the Hub": Leak(python(_REQUESTS), "DNS", "huggingface.co", 53, "python3"),
    "httpx, asynchronous": Leak(python(_HTTPX), "DNS", "cdn-lfs.hf.co", 53, "python3"),
    "hf_xet, native code": Leak(python(_XET), "DNS", "cas-server.xethub.hf.co", 53, "python3"),
    "a child: curl": Leak(python(_CURL), "TCP", "203.0.113.10", 443, "curl --silent"),
    "a shell's /dev/tcp": DEBIAN_LEAKS["a shell's /dev/tcp"],
    "connect by ctypes": Leak(python(_CTYPES), "TCP", "203.0.113.7", 443, "python3"),
    "a look-up alone": DEBIAN_LEAKS["a name in Python"],
    "telemetry over UDP": Leak(python(_STATSD), "UDP", "203.0.113.8", 8125, "python3"),
    "20 s after the start": Leak(python(_LATER), "TCP", "198.51.100.30", 8086, "python3"),
    "swallowed by the code": DEBIAN_LEAKS["an exception that Python swallows"],
    "huggingface_hub, swallowed": Leak(python(_HUB_CLIENT), "DNS", "huggingface.co", 53, "python3"),
    "torch.hub, swallowed": Leak(python(_TORCH), "DNS", "download.pytorch.org", 53, "python3"),
}
