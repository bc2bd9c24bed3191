"""Waiting for what will be so, however busy the host is."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

#: For whatever a test waits for: a host with other things to do takes its time, and only what never comes has failed.
PATIENCE_S = 300.0


def wait_until(
    true: Callable[[], object],
    told: Callable[[], object] = lambda: "it never came true",
    patience_s: float = PATIENCE_S,
) -> None:
    """Until it is so; fails with what ``told`` says where it is not within ``patience_s``."""
    deadline = time.monotonic() + patience_s
    while not true():
        assert time.monotonic() < deadline, told()
        time.sleep(0.01)


def wait_heard(pid: int, number: int) -> None:
    """Until a process has taken a signal, so that what comes after it cannot be the first that it notices."""

    def heard() -> bool:
        try:
            lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        except OSError:
            return True
        pending = [int(line.split()[1], 16) for line in lines if line.startswith(("SigPnd:", "ShdPnd:"))]
        return not any(mask >> number - 1 & 1 for mask in pending)

    wait_until(heard)
