"""Whether the holder's process is seen from here, also while it is only about to become the holder's program."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from bundler.core.digest import Digest
from bundler.installer.egress.watch import is_here
from bundler.installer.engine import Holder

TOKEN = "0123456789abcdef"
#: Begins with another command line than the one that it ends with, as a container's first process does.
BECOMES = 'sleep 0.5; exec "$0" -c "import time; time.sleep(60)" "$1"'


@contextmanager
def process(*arguments: str) -> Iterator[Holder]:
    with subprocess.Popen(arguments) as running:
        try:
            yield Holder("c" * 64, Digest.of(b""), running.pid, TOKEN)
        finally:
            running.kill()


def test_a_process_that_becomes_the_holder_is_waited_for() -> None:
    with process("sh", "-c", BECOMES, sys.executable, TOKEN, "more") as holder:
        assert is_here(holder)


def test_a_process_that_is_not_there_is_not_waited_for() -> None:
    with process("true") as holder:
        os.waitid(os.P_PID, holder.pid, os.WEXITED)
        assert not is_here(holder)
