"""Isolated hosts: network name spaces in which only the loopback device is up and no route leads anywhere.

    with isolated() as network:
        network.run(["ip", "route"])          # prints nothing
        EngineDaemon(DOCKER_20, netns=network.name).running()

Without root, ``unprivileged(argv)`` gives the same for one command, in a user name space of its own.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from testbed.debian import command, require_root

FOLDER = Path("/run/netns")


@dataclass(frozen=True)
class Network:
    """A network name space that has a name."""

    name: str

    @property
    def path(self) -> Path:
        """The file that ``nsenter --net=`` takes."""
        return FOLDER / self.name

    def inside(self, argv: Sequence[str]) -> list[str]:
        """``argv`` with what makes it run in this name space.

        ``nsenter`` and not ``ip netns exec``: the latter mounts a bare /sys, on which an engine fails with
        ``Devices cgroup isn't mounted``.
        """
        return ["nsenter", f"--net={self.path}", *argv]

    def run(
        self, argv: Sequence[str], *, timeout_s: float = 120, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in here and give what it wrote; the caller looks at its exit code."""
        return subprocess.run(
            self.inside(argv),
            capture_output=True,
            text=True,
            timeout=timeout_s,
            env=dict(env) if env is not None else None,
            check=False,
        )


@contextlib.contextmanager
def isolated(name: str = "bundler-isolated") -> Iterator[Network]:
    """Make a name space (its name gets this process's id), bring its loopback up, remove it at the end."""
    require_root()
    _sweep(name)
    network = Network(f"{name}-{os.getpid()}")
    command(["ip", "netns", "add", network.name])
    try:
        command(["ip", "-n", network.name, "link", "set", "lo", "up"])
        yield network
    finally:
        command(["ip", "netns", "delete", network.name])


def _sweep(name: str) -> None:
    """Remove the name spaces of this name whose process was killed; names end with its id."""
    for path in FOLDER.glob(f"{name}-*"):
        owner = path.name.rpartition("-")[2]
        if owner.isdigit() and not Path("/proc", owner).exists():
            # Another run may be sweeping as well.
            subprocess.run(["ip", "netns", "delete", path.name], capture_output=True, check=False)


def unprivileged(argv: Sequence[str]) -> list[str]:
    """``argv`` with what makes it run without a network for a user who is not root (needs user name spaces)."""
    return ["unshare", "--map-root-user", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh", *argv]
