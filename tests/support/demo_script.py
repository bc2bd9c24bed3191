"""``scripts/demo`` as a person starts it, and what it may not leave behind."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

from testbed.engines import DATA_DIR, RUN_DIR
from testbed.netns import FOLDER as NETNS_FOLDER

ROOT = Path(__file__).parents[2]


@contextlib.contextmanager
def demo(folder: Path, **more: str) -> Iterator[subprocess.Popen[str]]:
    """``scripts/demo`` in a session of its own, as a terminal starts it; ended in any case.

    Its cache is its own: two builds of one recipe with the same cache do not go side by side.
    """
    # Nothing answers at that address, so it starts an engine of its own, whatever this machine runs.
    own = {"DOCKER_HOST": f"unix://{folder}/no-engine.sock", "XDG_CACHE_HOME": f"{folder}/cache"}
    env = {**os.environ, **own, **more}
    argv = [str(ROOT / "scripts" / "demo"), "--output", str(folder)]
    process = subprocess.Popen(
        argv, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
        process.communicate(timeout=600)


def require_nothing_left(process: subprocess.Popen[str]) -> None:
    """No engine, no data, no name space and no program of that demo; its process id is in all their names."""
    for folder in (RUN_DIR, DATA_DIR, NETNS_FOLDER):
        assert [*folder.glob(f"*-{process.pid}"), *folder.glob(f"*-{process.pid}-*")] == []
    named = f"demo-{process.pid}-".encode()
    arguments = {}
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            arguments[path] = path.read_bytes()
    assert [argv for argv in arguments.values() if named in argv] == []
