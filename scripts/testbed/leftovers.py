"""Removing what an engine leaves behind: processes, mounts and folders, also of a test run that was killed."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

from testbed.bridge import remove_bridge
from testbed.trees import remove_tree

KILL_TIMEOUT_S = 60.0


def kill_processes_of(run_dir: Path) -> None:
    """Kill the processes that name ``run_dir`` in their arguments, which no other engine's do, and their children.

    After an orderly stop there are none. After a kill they are containerd's shims and what runs in containers. Until
    it is dead, each may start another one that nobody saw, so they are looked for until there are none.
    """
    killed: set[int] = set()
    deadline = time.monotonic() + KILL_TIMEOUT_S
    while (living := {*_processes_of(run_dir), *filter(_lives, killed)}) and time.monotonic() < deadline:
        for pid in living - killed:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        killed |= living
        time.sleep(0.02)


def _processes_of(run_dir: Path) -> set[int]:
    ours = {pid for pid, argv in _processes().items() if str(run_dir).encode() + b"/" in argv}
    parents = _parents()
    while more := {pid for pid, parent in parents.items() if parent in ours} - ours:
        ours |= more
    return set(filter(_lives, ours - {os.getpid()}))


def _lives(pid: int) -> bool:
    return Path(f"/proc/{pid}/exe").exists()  # a zombie has none


def _processes() -> dict[int, bytes]:
    """The arguments of all processes, by process id; without ours, whose arguments may name anything."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            program = (folder / "exe").readlink().name
            if program.startswith(("containerd", "dockerd", "runc", "docker-proxy")):
                found[int(folder.name)] = (folder / "cmdline").read_bytes()
    return found


def _parents() -> dict[int, int]:
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            # proc(5): "pid (name) state ppid …"; the name may hold blanks and brackets
            found[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
    return found


def remove_engine(run_dir: Path, disk: Path) -> None:
    """Remove all that an engine had whose folders these are; does nothing a second time."""
    kill_processes_of(run_dir)
    _remove_cgroups(run_dir.name)
    remove_bridge(run_dir)
    remove_tree(disk)
    image_of(disk).unlink(missing_ok=True)
    remove_tree(run_dir)  # the last, because it says that there was an engine


def image_of(disk: Path) -> Path:
    """The file that holds the file system mounted at ``disk``, where an engine's space is limited."""
    return disk.with_suffix(".ext4")


def _remove_cgroups(name: str) -> None:
    """Remove the control groups below ``name``, of version 2 and of each controller of version 1.

    A killed process keeps its group busy until its parent has waited for it, hence the second tries.
    """
    root = Path("/sys/fs/cgroup")
    tops = [path for path in [root / name, *root.glob(f"*/{name}")] if path.exists()]
    deadline = time.monotonic() + KILL_TIMEOUT_S
    while tops and time.monotonic() < deadline:
        for folder in (Path(folder) for top in tops for folder, _, _ in os.walk(top, topdown=False)):
            with contextlib.suppress(OSError):
                folder.rmdir()
        tops = [path for path in tops if path.exists()]
        if tops:
            time.sleep(0.05)


def sweep(run_dir: Path, data_dir: Path) -> None:
    """Remove the engines below ``run_dir`` whose test run is gone; names end with ``-<process id>-<number>``."""
    for folder in sorted(run_dir.glob("*-*-*")):
        owner = folder.name.rsplit("-", 2)[1]
        if owner.isdigit() and not Path("/proc", owner).exists():
            remove_engine(folder, data_dir / folder.name)
