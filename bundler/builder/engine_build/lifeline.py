"""A program that ends with whoever started it, however that ends, and with all of its children.

A client that outlives a killed build goes on building, and names an image that nobody removes. The kernel's own means
(``PR_SET_PDEATHSIG``) reaches one process, and ``docker`` has its plugin as a child; so a guard stands between. It
waits for the end of its standard input, whose other end bundler holds alone, and then ends the program's session.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

#: How long a program may take to tidy up (seconds).
_STOP_TIMEOUT_S = 10.0
_GUARD = f"""
import os, signal, subprocess, sys, threading
signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal; whoever holds the line decides what it means
process = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, start_new_session=True)
def end(number):
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        pass
def watch():
    sys.stdin.buffer.read()
    end(signal.SIGTERM)
    try:
        process.wait({_STOP_TIMEOUT_S})
    except subprocess.TimeoutExpired:
        pass
    end(signal.SIGKILL)
threading.Thread(target=watch, daemon=True).start()
code = process.wait()
os._exit(code if code >= 0 else 128 - code)
"""


@contextmanager
def on_lifeline(argv: Sequence[str], environment: Mapping[str, str]) -> Iterator[subprocess.Popen[str]]:
    """``argv`` as it runs, both of its outputs joined in ``stdout``; when the block ends, so does the program.

    Raises OSError where not even the guard can be started; a program that is not there ends with 1 and a traceback,
    so that the caller looks for it before.
    """
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _GUARD, *argv],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    try:
        yield process
    finally:
        _end(process)


def _end(process: subprocess.Popen[str]) -> None:
    if process.stdin:
        process.stdin.close()
    try:
        process.wait(2 * _STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout:
        process.stdout.close()
