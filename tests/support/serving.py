"""Services that are started as checks, right ones and wrong ones in the ways that services have."""

from __future__ import annotations

from bundler.core.check_result import CheckResult
from bundler.core.checks import Peer, Question, ServeCheck
from bundler.core.digest import Digest
from bundler.core.progress import SilentProgress
from bundler.installer.checks.running import run_commands
from bundler.installer.engine import Engine
from tests.support.calling_out import IMAGE, python

PORT = 8765
#: Begins of services: what they answer with is the rest.
_HTTP = """
    import http.server, json, os, socket, socketserver, sys, threading, time
    began = time.monotonic()
    asked = []
    def leak(address="203.0.113.9", port=5432):
        client = socket.socket()
        client.setblocking(False)
        client.connect_ex((address, port))
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        def log_message(self, *_): pass
        def say(self, status, text, **headers):
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)
        def do_GET(self):
            asked.append(self.path)
            answer(self)
        do_POST = do_HEAD = do_GET
    def answer(handler):
        handler.say(200, b"the capital is Canberra")
    def serve(host="0.0.0.0"):
        http.server.ThreadingHTTPServer((host, 8765), Handler).serve_forever()
"""


def service(script: str) -> tuple[str, ...]:
    """A Python program that may say ``answer`` anew and ends with ``serve()``."""
    command = python(_HTTP)
    return (*command[:-1], command[-1] + python(script)[-1])


def check(name: str, run: tuple[str, ...], **wanted: object) -> ServeCheck:
    """A check of a service at ``PORT``; asked for ``/`` unless ``question`` says something else."""
    fields: dict[str, object] = {
        **{"name": name, "image": IMAGE, "run": run, "within_s": 120.0, "user": None, "env": {}, "allow": ()},
        **{"needs_gpu": False, "port": PORT, "question": get("/"), "status": 200, "expect": (), "forbid": ()},
        **{"watch_s": 0.0},
    }
    return ServeCheck(**{**fields, **wanted})  # type: ignore[arg-type]  # keywords of a dataclass, checked by it


def get(path: str) -> Question:
    return Question("GET", path, {}, None)


def peers(*texts: str) -> tuple[Peer, ...]:
    return tuple(map(Peer.parse, texts))


def run_services(engine: Engine, image_id: Digest, *checks: ServeCheck) -> dict[str, CheckResult]:
    """Each check's result by its name, in one session of proof."""
    return {result.name: result for result in run_commands(checks, {IMAGE: image_id}, engine, SilentProgress())}
