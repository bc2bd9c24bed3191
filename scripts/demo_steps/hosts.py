"""The two hosts: the connected one with an engine to build with, and the isolated one that no network leads to."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bundler.core.docker_api import connect
from bundler.core.errors import BundlerError
from demo_steps.host_engine import HOST_ENGINE, disk_size
from demo_steps.names import INSTALLED, cached_images_removed, remove_images, require_free
from demo_steps.stage import Stage, Step, StepError
from testbed.engines import EngineDaemon
from testbed.netns import isolated, unprivileged

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#: Of a block that documentation may name and nobody has (RFC 5737): whatever answers, this is not it.
OUTSIDE = "192.0.2.1"
_KNOCK = f"""
import socket
try:
    socket.create_connection(("{OUTSIDE}", 443), 5).close()
    print("connected")
except OSError as error:
    print(error.strerror or error)
"""


@dataclass(frozen=True)
class ConnectedHost:
    """Where the kit is built: ``env`` makes ``docker`` and ``bundler`` use its engine at ``address``."""

    address: str
    env: Mapping[str, str]
    own: bool  # whether the demo started the engine, and so may leave to it what it brought


@contextlib.contextmanager
def connected_host(stage: Stage) -> Iterator[ConnectedHost]:
    """The engine that answers here, else one that is started and, at the end, stopped and removed."""
    with contextlib.ExitStack() as stack:
        with stage.step("An engine to build with") as step:
            host = _answering(step)
            if host is None:
                engine = stack.enter_context(_daemon().running())
                step.say(f"none answered; started Docker {engine.version}, store {engine.store}")
                host = ConnectedHost(engine.base_url, engine.environment(), own=True)
            else:
                if os.geteuid() != 0:
                    require_free(step, host.env)  # here is installed as well
                stack.enter_context(cached_images_removed(step, host.env))
        yield host


def _answering(step: Step) -> ConnectedHost | None:
    """The engine that DOCKER_HOST, the context or the default socket leads to; None as root where there is none."""
    try:
        with connect() as client:
            about = client.ask_json("GET", "/version")
            step.say(f"Docker {about['Version']} answers at {client.address}")
            return ConnectedHost(client.address, {**os.environ, "DOCKER_HOST": client.address}, own=False)
    except BundlerError as error:
        step.write(str(error))
        if os.geteuid() == 0:
            return None
        raise StepError(
            f"no container engine can be used: {error.what}\n"
            "do: as root `apt-get install docker.io`, start it, add yourself to the group docker and log in again;\n"
            "    or run this as root, which needs nothing installed"
        ) from error


def _daemon(netns: str | None = None) -> EngineDaemon:
    return EngineDaemon(HOST_ENGINE, size_bytes=disk_size(), netns=netns)


@dataclass(frozen=True)
class IsolatedHost:
    """A place without a network: ``inside`` makes a command run there, ``folder`` is all that it may write to."""

    inside: Callable[[Sequence[str]], list[str]]
    env: Mapping[str, str]
    folder: Path
    own: bool  # whether its engine is the demo's

    def run(self, step: Step, argv: Sequence[str], *, timeout_s: float, cwd: Path | None = None) -> str:
        """Run a command there and give its standard output; ``StepError`` where it fails."""
        return step.run(self.inside(argv), env=self.env, timeout_s=timeout_s, cwd=cwd)

    @property
    def state(self) -> Path:
        """Where bundler keeps its receipts there."""
        return self.folder / "state"


@contextlib.contextmanager
def isolated_host(stage: Stage, connected: ConnectedHost, folder: Path) -> Iterator[IsolatedHost]:
    """As root a name space without a route and an engine of its own in it; else an empty one for the loader alone."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "home").mkdir(parents=True)
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        with stage.step("A host without a network") as step:
            if os.geteuid() == 0:
                network = stack.enter_context(isolated("bundler-demo"))
                engine = stack.enter_context(_daemon(network.name).running())
                step.say(f"network name space {network.name}, with Docker {engine.version} in it")
                env = {**_bare(folder), "DOCKER_HOST": engine.base_url}
                env["PATH"] = f"{engine.run_dir / 'bin'}:{SYSTEM_PATH}"
                host = IsolatedHost(network.inside, env, folder, own=True)
            else:
                step.say("an empty network name space for the loader; the engine is this host's, for want of root")
                env = {**_bare(folder), "DOCKER_HOST": _local(connected.address)}
                host = IsolatedHost(unprivileged, env, folder, own=False)
                stack.callback(remove_images, step, connected.env, INSTALLED)
            _show_isolation(step, host)
        yield host


def _bare(folder: Path) -> dict[str, str]:
    """An environment that knows nothing of this host: no proxy, no certificates, an empty home."""
    return {"PATH": SYSTEM_PATH, "LANG": "C.UTF-8", "HOME": str(folder / "home")}


def _local(address: str) -> str:
    if not address.startswith("unix://"):
        raise StepError(f"no host without a network reaches the engine at {address}\ndo: run this as root")
    return address


def _show_isolation(step: Step, host: IsolatedHost) -> None:
    """Print the route table and what a connection attempt gets; ``StepError`` where there is a way out."""
    try:
        routes = host.run(step, ["ip", "route"], timeout_s=20).strip()
    except StepError as error:
        raise StepError(f"{error}\ndo: run this as root, where user name spaces are not open to everybody") from error
    step.say(f"$ ip route                   {routes or '(prints nothing: there is no route)'}")
    names = [line.split()[0] for line in host.run(step, ["ip", "-brief", "link"], timeout_s=20).splitlines()]
    step.say(f"$ ip -brief link             {' '.join(names)}")
    answer = host.run(step, [loader_python(), "-c", _KNOCK], timeout_s=20).strip()
    step.say(f"connect to {OUTSIDE}         {answer}")
    if routes or names != ["lo"] or answer == "connected":
        raise StepError("the isolated host has a way out")


def loader_python() -> str:
    """The distribution's own Python, which has no package of bundler's."""
    return shutil.which("python3", path=SYSTEM_PATH) or str(Path(sys.base_prefix) / "bin" / "python3")
