"""A service in Python that calls out from deep inside, and an image of it with a ``PYTHONPATH`` and a module of its own."""

from __future__ import annotations

import textwrap
from pathlib import Path

from testbed.engines import RunningEngine

INSTALLED = "usr/lib/python3/dist-packages/hublike/hub.py"
_HUB = """
    import socket


    def cached_file(name):
        return fetch("hub.example.com", name)


    def fetch(host, name):
        try:
            socket.getaddrinfo(host, 443)
        except OSError:
            pass
        # Long enough for its process to be looked up while it waits, on a busy host too.
        with socket.create_connection(("203.0.113.21", 443), timeout=2) as sock:
            return sock.recv(1)
"""
_EMBEDDER = """
    from hublike.hub import cached_file


    class Embedder:
        def load(self):
            try:
                return cached_file("model")
            except OSError:
                return None  # nobody hears of it


    def start():
        return Embedder().load()
"""
_ASYNCHRONOUS = """
    import asyncio


    async def ask():
        reader, writer = await asyncio.open_connection("async.example.com", 443)


    async def report():
        await asyncio.wait_for(asyncio.open_connection("203.0.113.22", 443), 0.3)


    async def main():
        await asyncio.gather(ask(), report(), return_exceptions=True)


    asyncio.run(main())
"""
_FLOOD = """
    import socket

    SOCK = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    SOURCE = "def send(number):\\n" + "\\n" * 3000 + "    SOCK.sendto(b'x', ('203.0.113.9', 1000 + number % 500))\\n"
    for number in range(20000):
        if number < 3000:
            exec(compile(SOURCE.replace("\\n", "", number), "flood.py", "exec"))
        send(number)
    print("sent all")
"""
_HOSTILE = """
    import os, socket

    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sock.connect("/bundler-where-in-code/report")
    frames = "\\0".join(["/app/\\x1b[2Jevil.py", "1", "f"] * 40)
    for number in range(20000):
        head = f"socket.connect\\0" + f"203.0.113.{number % 250}\\0" + f"{number}\\0" + "1\\0" + "0\\0"
        sock.send((head + frames).encode() if number % 2 else os.urandom(500))
    print("sent all")
"""
FILES = {
    INSTALLED: _HUB,
    "usr/lib/python3/dist-packages/hublike/__init__.py": "",
    "app/service/__init__.py": "",
    "app/service/__main__.py": "from service.embedder import start\n\nstart()\n",
    "app/service/embedder.py": _EMBEDDER,
    "app/children.py": """
        import multiprocessing
        import subprocess
        import sys

        from service.embedder import start

        if __name__ == "__main__":
            if sys.argv[1] == "subprocess":
                subprocess.run([sys.executable, "-m", "service"], check=True)
            else:
                child = multiprocessing.get_context(sys.argv[1]).Process(target=start)
                child.start()
                child.join()
    """,
    "app/asynchronous.py": _ASYNCHRONOUS,
    "app/flood.py": _FLOOD,
    "app/hostile.py": _HOSTILE,
    "app/sitecustomize.py": "import builtins\n\nbuiltins.image_says = 'this is ours'\n",
    "more/elsewhere.py": "",
}


def line_of(file: str, text: str) -> int:
    """The number of the line of ``file`` that holds ``text``."""
    lines = textwrap.dedent(FILES[file]).lstrip("\n").splitlines()
    return next(number for number, line in enumerate(lines, start=1) if text in line)


def service_image(running: RunningEngine, base: str, tag: str, work: Path) -> str:
    """Put ``FILES`` above the image ``base``, with ``PYTHONPATH=/app`` and the service as its command; gives the id."""
    for name, text in FILES.items():
        path = work / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text).lstrip("\n"))
    container = running.docker("create", base).strip()
    try:
        running.docker("cp", f"{work}/.", f"{container}:/")
        changes = ("--change", "ENV PYTHONPATH=/app", "--change", 'CMD ["python3", "-m", "service"]')
        return running.docker("commit", *changes, container, tag).strip()
    finally:
        running.docker("rm", container)
