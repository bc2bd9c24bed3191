"""hf_transfer, several connections to one large file: in a process of its own, so that it can be ended.

The library has no stall limit, writes its ranges in any order and resumes nothing (``docs/hub-facts.md``); so it is
watched from outside, and what it brought is hashed afterwards. Headers, a token among them, go through standard input:
command lines are seen by everybody on a host.
"""

from __future__ import annotations

import json
import selectors
import subprocess
import sys
from pathlib import Path

from bundler.builder.hub.retry import TransientError
from bundler.builder.hub.source import Address
from bundler.core.progress import Task

#: Below this many bytes one connection is as quick.
WORTHWHILE_SIZE = 64 << 20
_CONNECTIONS = 8
_RANGE_SIZE = 10 << 20
_PROGRAM = """
import ctypes, json, signal, sys, hf_transfer
ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG of prctl(2): not to go on without the build
job = json.load(sys.stdin)
def seen(size):
    print(size, flush=True)
try:
    hf_transfer.download(job["url"], job["path"], job["connections"], job["range_size"],
                         headers=job["headers"], callback=seen)
except Exception as error:
    print(" ".join(str(error).split()), file=sys.stderr)
    raise SystemExit(1)
"""


def transfer(address: Address, path: Path, stall_s: float, task: Task) -> None:
    """Bring the file at ``address`` to ``path``; raises TransientError when it fails or stands still."""
    job = {
        "url": address.url,
        "path": str(path),
        "headers": address.headers,
        "connections": _CONNECTIONS,
        "range_size": _RANGE_SIZE,
    }
    command = [sys.executable, "-c", _PROGRAM]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, bufsize=0) as process:
        try:
            assert process.stdin is not None  # noqa: S101 - PIPE was asked for
            process.stdin.write(json.dumps(job).encode())
            process.stdin.close()
            _watch(process, stall_s, task)
            complaint = process.stderr.read().decode(errors="replace").strip() if process.stderr else ""
            if process.wait() != 0:
                raise TransientError(f"hf_transfer: {complaint or f'ended with {process.returncode}'}")
        finally:
            process.kill()


def _watch(process: subprocess.Popen[bytes], stall_s: float, task: Task) -> None:
    assert process.stdout is not None  # noqa: S101 - PIPE was asked for
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        pending = b""
        while True:
            if not selector.select(stall_s):
                raise TransientError(f"hf_transfer: no byte in {stall_s:.0f} s")
            chunk = process.stdout.read(4096)
            if not chunk:
                return
            *lines, pending = (pending + chunk).split(b"\n")
            task.advance(sum(int(line) for line in lines))
