"""A download by somebody else's library, in a process of its own, so that it can be watched and ended.

What it needs goes through standard input: command lines are seen by everybody on a host. It prints a number for each
step that it makes. It ends with this process, and with the thread that started it.
"""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping

from bundler.builder.hub.limits import Limits
from bundler.builder.hub.retry import TransientError

_POLL_S = 0.2
#: Variables that may hold a token or a password: what a library is to show is in its job.
_SECRET = frozenset({"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_ENDPOINT"})
#: ``told(size)`` is what a program calls for each step; PR_SET_PDEATHSIG is of prctl(2).
_FRAME = """
import ctypes, json, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL)
job = json.load(sys.stdin)
def told(size):
    print(size, flush=True)
try:
{program}
except Exception as error:
    print(type(error).__name__ + ": " + " ".join(str(error).split()), file=sys.stderr)
    raise SystemExit(1)
"""


def run_child(
    name: str, program: str, job: Mapping[str, object], limits: Limits, on_step: Callable[[int], None]
) -> None:
    """Run ``program`` with ``job`` until it has ended.

    Raises TransientError where it fails, or makes less than the policy's ``stall`` bytes per second over a window;
    HaltedError where the run is stopped.
    """
    body = "".join(f"    {line}\n" for line in program.strip().splitlines())
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", _FRAME.replace("{program}", body)]
    ours = {name: value for name, value in os.environ.items() if name not in _SECRET}
    environment = {**ours, "DO_NOT_TRACK": "1"}
    with (
        tempfile.TemporaryFile() as complaints,
        subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=complaints, bufsize=0, env=environment) as process,
    ):
        try:
            assert process.stdin is not None  # noqa: S101 - PIPE was asked for
            process.stdin.write(json.dumps(job).encode())
            process.stdin.close()
            _watch(name, process, limits, on_step)
            if process.wait() != 0:
                complaints.seek(0)
                *_, last = complaints.read(1 << 16).decode(errors="replace").strip().split("\n")
                raise TransientError(f"{name}: {last}" if last else f"{name} ended with {process.returncode}")
        finally:
            process.kill()


def _watch(name: str, process: subprocess.Popen[bytes], limits: Limits, on_step: Callable[[int], None]) -> None:
    assert process.stdout is not None  # noqa: S101 - PIPE was asked for
    policy = limits.policy
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        pending, came, began = b"", 0, time.monotonic()
        while True:
            limits.check()
            if selector.select(_POLL_S):
                chunk = process.stdout.read(4096)
                if not chunk:
                    return
                *lines, pending = (pending + chunk).split(b"\n")
                size = sum(int(line) for line in lines)
                came += size
                on_step(size)
            if time.monotonic() - began >= policy.stall_window_s:
                if came < policy.stall * policy.stall_window_s:
                    raise TransientError(f"{name} brought {came:,} bytes in {policy.stall_window_s:.0f} s")
                came, began = 0, time.monotonic()
