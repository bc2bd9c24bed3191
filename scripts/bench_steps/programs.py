"""Running a program under the clock."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

TIMEOUT_S = 1800


class BenchError(RuntimeError):
    """A program did not do what it is there for."""


def seconds_of(script: str, env: Mapping[str, str], cwd: Path, *arguments: str | Path) -> tuple[float, str]:
    """Run a line of bash, whose ``$1`` … are ``arguments``; how long it took, and what it printed.

    Whatever was written before is on the disk when the clock starts, so that no step pays for another.
    """
    os.sync()
    argv = ["bash", "-ceu", f"set -o pipefail\n{script}", "bash", *map(str, arguments)]
    began = time.monotonic()
    try:
        done = subprocess.run(
            argv, env=dict(env), cwd=cwd, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise BenchError(f"{script}: no end after {TIMEOUT_S} s") from error
    seconds = time.monotonic() - began
    if done.returncode:
        raise BenchError(f"{script}: exit code {done.returncode}\n{(done.stderr or done.stdout)[-2000:]}")
    return seconds, done.stdout
