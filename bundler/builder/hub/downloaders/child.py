"""A download by somebody else's library, in a process of its own, so that it can be watched and ended.

What it needs goes through standard input: command lines are seen by everybody on a host. It prints a number for each
step that it makes. It ends with this process, and with the thread that started it.
"""

from __future__ import annotations

import json
import os
import re
import selectors
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

from bundler.builder.hub.limits import Limits
from bundler.builder.hub.retry import TransientError

_POLL_S = 0.2
#: Variables that may hold a token or a password: what a library is to show is in its job.
_SECRET = frozenset({"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_ENDPOINT"})
_QUERY = re.compile(r"(?<=[^\s?])\?[^\s\"')]+")
#: For a library to be loaded, on a busy host.
_START_S = 60.0
#: ``told(size)`` is what a program calls for each step, and first when it is loaded; PR_SET_PDEATHSIG is of prctl(2).
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
            with suppress(BrokenPipeError), process.stdin:  # one that has ended says why
                process.stdin.write(json.dumps(job).encode())
            _watch(name, process, limits, on_step)
            if process.wait() != 0:
                complaints.seek(0)
                raise TransientError(f"{name}: {_last(complaints.read(1 << 16)) or f'ended with {process.returncode}'}")
        finally:
            process.kill()


def _last(complaints: bytes) -> str:
    """The last line, without what opens a signed address."""
    *_, line = complaints.decode(errors="replace").strip().split("\n")
    return _QUERY.sub("", line)[:500]


def _watch(name: str, process: subprocess.Popen[bytes], limits: Limits, on_step: Callable[[int], None]) -> None:
    assert process.stdout is not None  # noqa: S101 - PIPE was asked for
    policy = limits.policy
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        pending, came, began, window_s = b"", 0, time.monotonic(), _START_S
        while True:
            limits.check()
            if selector.select(_POLL_S):
                chunk = process.stdout.read(4096)
                if not chunk:
                    return
                if window_s == _START_S:
                    began, window_s = time.monotonic(), policy.stall_window_s
                *lines, pending = (pending + chunk).split(b"\n")
                size = sum(int(line) for line in lines)
                came += size
                on_step(size)
            if time.monotonic() - began >= window_s:
                if came < policy.stall * window_s:
                    raise TransientError(f"{name} brought {came:,} bytes in {window_s:g} s")
                came, began = 0, time.monotonic()
