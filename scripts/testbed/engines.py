"""Real Docker engines of several versions and with both kinds of store, side by side on one machine.

    with EngineDaemon(DOCKER_26_CONTAINERD).running() as engine:
        engine.base_url                      # "unix:///run/bundler-testbed/docker26-containerd-4711-0/docker.sock"
        engine.docker("info")                # the command line client of the engine's own version
        subprocess.run(["docker", "buildx", "build", "."], env=engine.environment())

Each engine has its own containerd, data root, exec root, process file and socket: nothing is shared with an engine
that the machine already runs. ``EngineDaemon`` is a value; ``RunningEngine`` is what runs, and can be killed and
started again on the same data.

Network: each engine gets a bridge of its own (``bundler0``, ``bundler1``, …), and the test bed itself sets the two
forwarding rules and the masquerading for it; dockerd is told to leave iptables alone. So ``RUN`` steps of a build and
containers on the default network reach the outside, several engines do not flush each other's chains, and no engine
is started with ``--bridge none`` in the host's name space, which would delete ``docker0`` of another. ``netns=`` puts
the engine into a name space (see ``testbed.netns``) without a bridge: nothing reaches the outside from there.
"""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from testbed import TestbedError
from testbed.bridge import make_bridge
from testbed.debian import TRIXIE_PACKAGES, command, install_host_packages, locked, require_root, unpack
from testbed.leftovers import image_of, kill_processes_of, remove_engine, sweep
from testbed.netns import FOLDER as NETNS_FOLDER

RUN_DIR = Path("/run/bundler-testbed")
DATA_DIR = Path("/var/tmp/bundler-testbed")  # on a disk: overlay2 does not stand on another overlay
START_TIMEOUT_S = 300.0
STOP_TIMEOUT_S = 120.0
_serial = itertools.count()

# Only dockerd speaks to it: CRI, CNI and NRI would open sockets and folders that all instances share.
_CONTAINERD_CONFIG = """\
version = 2
root = "{data}/containerd"
state = "{run}/containerd"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.cri.v1.images", "io.containerd.cri.v1.runtime",
  "io.containerd.nri.v1.nri"]
[grpc]
  address = "{run}/containerd.sock"
[plugins."io.containerd.internal.v1.opt"]
  path = "{data}/opt"
"""


@dataclass(frozen=True)
class EngineKind:
    """An engine's version, by the Debian suite that has it (None: the host's own), and the kind of its image store."""

    name: str
    suite: str | None
    store: str  # "overlay2" or "containerd"

    def root(self) -> Path:
        """The folder below which the engine's programs are; fetched on the first call, as is the host's runc."""
        install_host_packages()
        if self.suite is None:
            return Path("/")
        return unpack(self.suite, TRIXIE_PACKAGES).path if self.suite == "trixie" else unpack(self.suite).path

    def buildx(self) -> Path | None:
        """The plug-in that the client of this engine finds; None: it has none, only the classic builder is there."""
        root = DOCKER_26.root() if self.suite is None else self.root()
        return root / "usr/libexec/docker/cli-plugins/docker-buildx"


DOCKER_20 = EngineKind("docker20", None, "overlay2")
DOCKER_26 = EngineKind("docker26", "trixie", "overlay2")
DOCKER_26_CONTAINERD = EngineKind("docker26-containerd", "trixie", "containerd")
DOCKER_28 = EngineKind("docker28", "forky", "overlay2")
DOCKER_28_CONTAINERD = EngineKind("docker28-containerd", "forky", "containerd")
KINDS = (DOCKER_20, DOCKER_26, DOCKER_26_CONTAINERD, DOCKER_28, DOCKER_28_CONTAINERD)


@dataclass(frozen=True)
class EngineDaemon:
    """What engine to start. ``size_bytes`` gives it a file system of that size; ``netns`` the name of a name space."""

    kind: EngineKind
    size_bytes: int | None = None
    netns: str | None = None

    @contextlib.contextmanager
    def running(self) -> Iterator[RunningEngine]:
        """Start the engine, wait until it answers, and remove all of it at the end.

        The engine ends with the thread that started it, even if that is killed. ``TestbedError`` if it does not
        answer within minutes, with the end of its log.
        """
        require_root()
        RUN_DIR.mkdir(parents=True, exist_ok=True)
        with locked("sweep", RUN_DIR):  # two test runs may find the same remains, whatever cache they have
            sweep(RUN_DIR, DATA_DIR)
        engine = RunningEngine(self)
        try:
            engine.prepare()
            engine.start()
            yield engine
        finally:
            engine.remove()


class RunningEngine:
    """An engine that answers: addresses, facts, its own client, and the ways to break it and start it again."""

    def __init__(self, daemon: EngineDaemon) -> None:
        self.kind = daemon.kind
        self._daemon = daemon
        self._root = daemon.kind.root()
        name = f"{daemon.kind.name}-{os.getpid()}-{next(_serial)}"
        self.run_dir = RUN_DIR / name
        self._disk = DATA_DIR / name
        self.data_root = self._disk / "docker"
        self.socket = self.run_dir / "docker.sock"
        self.base_url = f"unix://{self.socket}"
        self._processes: list[subprocess.Popen[bytes]] = []  # in the order of their start

    @property
    def version(self) -> str:
        """The engine's version, such as ``20.10.24+dfsg1``."""
        return str(self.get("/version")["Version"])

    @property
    def api_version(self) -> str:
        """The highest version of the API that the engine speaks."""
        return str(self.get("/version")["ApiVersion"])

    @property
    def store(self) -> str:
        """The kind of image store the engine says it has: ``overlay2`` (a graph driver) or ``containerd``."""
        info = self.get("/info")
        status = dict(info.get("DriverStatus") or ())
        return "containerd" if status.get("driver-type") == "io.containerd.snapshotter.v1" else str(info["Driver"])

    def get(self, path: str) -> dict[str, Any]:
        """The JSON object that the engine answers ``GET path`` with; ``OSError`` where it does not answer."""
        connection = _UnixConnection(self.socket)
        with contextlib.closing(connection):
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read()
        if answer.status != http.client.OK:
            raise TestbedError(f"{self.kind.name}: GET {path}: {answer.status} {body[:500]!r}")
        document: dict[str, Any] = json.loads(body)
        return document

    def environment(self, *, buildx: bool = True) -> dict[str, str]:
        """``os.environ`` with what makes ``docker``, ``docker buildx`` and the SDK's ``from_env`` use this engine.

        ``docker`` on the PATH is then the client of the engine's own version; buildx is that of its suite, and
        Debian 13's (0.13) for Docker 20.10. With ``buildx=False`` the client finds no plug-ins.
        """
        config = self.run_dir / ("client" if buildx else "client-plain")
        clean = {key: value for key, value in os.environ.items() if not key.startswith("DOCKER_")}
        path = f"{self.run_dir / 'bin'}:{clean.get('PATH', os.defpath)}"
        return {**clean, "PATH": path, "DOCKER_HOST": self.base_url, "DOCKER_CONFIG": str(config)}

    def docker(self, *arguments: str, timeout_s: float = 900) -> str:
        """Run the engine's own command line client and give its standard output; ``TestbedError`` if it fails."""
        return command([str(self.run_dir / "bin" / "docker"), *arguments], timeout_s=timeout_s, env=self.environment())

    def run(self, *arguments: str, timeout_s: float = 900) -> str:
        """Run a container to its end, remove it, and give what it printed on standard output.

        Read from its log: a client that is attached misses the output of a quick command now and then.
        """
        container = self.docker("create", *arguments).strip()
        try:
            self.docker("start", container)
            code = self.docker("wait", container, timeout_s=timeout_s).strip()
            printed = self.docker("logs", container)
        finally:
            self.docker("rm", "--force", "--volumes", container)
        if code != "0":
            raise TestbedError(f"{' '.join(arguments)}: exit code {code}\n{printed}")
        return printed

    def log(self) -> str:
        """What the engine wrote so far."""
        return (self.run_dir / "dockerd.log").read_text(errors="replace")

    def prepare(self) -> None:
        """Make the folders, the size-limited file system, the bridge and the configuration files."""
        self.run_dir.mkdir(parents=True)
        self._disk.mkdir(parents=True)
        if self._daemon.size_bytes is not None:
            _mount_image(image_of(self._disk), self._disk, self._daemon.size_bytes)
        bridge = "none" if self._daemon.netns else make_bridge(self.run_dir)
        text = _CONTAINERD_CONFIG.format(data=self._disk, run=self.run_dir)
        (self.run_dir / "containerd.toml").write_text(text)
        (self.run_dir / "daemon.json").write_text(json.dumps(self._configuration(bridge), indent=1))
        self._link_clients()

    def _configuration(self, bridge: str) -> dict[str, object]:
        config: dict[str, object] = {
            "bridge": bridge,
            "cgroup-parent": f"/{self.run_dir.name}",
            "containerd": f"{self.run_dir}/containerd.sock",
            "data-root": str(self.data_root),
            "exec-opts": ["native.cgroupdriver=cgroupfs"],  # no init runs here that would hand out cgroups
            "exec-root": f"{self.run_dir}/exec",
            "hosts": [self.base_url],
            "ip-forward": False,
            "ip6tables": False,
            "iptables": False,
            "pidfile": f"{self.run_dir}/docker.pid",
            "shutdown-timeout": 3,
            "userland-proxy": False,
        }
        if self.kind.store == "containerd":
            return {**config, "features": {"containerd-snapshotter": True}}
        return {**config, "storage-driver": self.kind.store}

    def _link_clients(self) -> None:
        (self.run_dir / "bin").mkdir()
        (self.run_dir / "bin" / "docker").symlink_to(self._root / "usr/bin/docker")
        (self.run_dir / "client-plain").mkdir()
        plugins = self.run_dir / "client" / "cli-plugins"
        plugins.mkdir(parents=True)
        plugin = self.kind.buildx()
        if plugin is not None:
            (plugins / "docker-buildx").symlink_to(plugin)

    def start(self) -> None:
        """Start containerd and dockerd on the data that is there, and wait until the engine answers."""
        self._spawn("containerd", "--config", f"{self.run_dir}/containerd.toml")
        self._await(lambda: _connects(self.run_dir / "containerd.sock"))
        self._spawn("dockerd", "--config-file", f"{self.run_dir}/daemon.json")
        self._await(self._answers)

    def _spawn(self, program: str, *arguments: str) -> None:
        paths = [self._root / "usr/sbin", self._root / "usr/bin", Path("/usr/sbin"), Path("/usr/bin")]
        found = shutil.which(program, path=":".join(map(str, paths)))
        if found is None:
            raise TestbedError(f"{program} of {self.kind.name} is not there; run scripts/test-engines")
        argv = ["setpriv", "--pdeathsig", "TERM"]
        argv += ["nsenter", f"--net={NETNS_FOLDER / self._daemon.netns}"] if self._daemon.netns else []
        clean = {key: value for key, value in os.environ.items() if not key.startswith(("DOCKER_", "NOTIFY_"))}
        environment = {**clean, "PATH": ":".join([*map(str, paths), "/sbin", "/bin"])}
        with (self.run_dir / f"{program}.log").open("ab") as log:
            process = subprocess.Popen(
                [*argv, found, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,  # a Ctrl-C at the terminal ends the test, which then stops the engine
            )
        self._processes.append(process)

    def _answers(self) -> bool:
        try:
            self.get("/version")
        except (OSError, http.client.HTTPException):
            return False
        return True

    def _await(self, ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not ready():
            ended = [process for process in self._processes if process.poll() is not None]
            if ended or time.monotonic() > deadline:
                logs = [path.read_text(errors="replace")[-2000:] for path in sorted(self.run_dir.glob("*.log"))]
                raise TestbedError(f"{self.kind.name} does not start\n" + "\n".join(logs))
            time.sleep(0.05)

    def stop(self) -> None:
        """End the engine in the orderly way; its data stays, ``start`` takes them up again."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Kill the engine as a power cut would (SIGKILL); its data stays, ``start`` takes them up again."""
        self._end(signal.SIGKILL)

    def _end(self, how: signal.Signals) -> None:
        while self._processes:
            process = self._processes.pop()
            process.send_signal(how)
            try:
                process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        kill_processes_of(self.run_dir)
        for leftover in ("docker.sock", "docker.pid", "containerd.sock", "containerd.sock.ttrpc"):
            (self.run_dir / leftover).unlink(missing_ok=True)

    def remove(self) -> None:
        """Stop the engine and remove everything of it: processes, cgroups, mounts, bridge, rules, data."""
        self._kill_containers()
        self.stop()
        remove_engine(self.run_dir, self._disk)

    def _kill_containers(self) -> None:
        """Spare the seconds that dockerd would wait for containers whose first process ignores SIGTERM."""
        with contextlib.suppress(OSError, TestbedError):  # it may have been stopped, or never have started
            running = self.docker("ps", "--quiet", timeout_s=30).split()
            if running:
                self.docker("kill", *running, timeout_s=30)


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=START_TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def _connects(path: Path) -> bool:
    with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as probe:
        return probe.connect_ex(str(path)) == 0


def _mount_image(image: Path, target: Path, size: int) -> None:
    """Mount a new ext4 file system of ``size`` bytes, held in the file ``image``, at ``target``."""
    with image.open("wb") as handle:
        handle.truncate(size)
    # No reserved blocks and no lazy initialisation: the free space is what a test expects, from the start.
    command(["mkfs.ext4", "-q", "-F", "-m", "0", "-E", "lazy_itable_init=0", str(image)])
    command(["mount", "-o", "loop", str(image), str(target)])
