"""The test bed's own promises: each engine is what it says, networks are what they should be, nothing is left behind."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from testbed import TestbedError, netns
from testbed.debian import locked
from testbed.engines import DATA_DIR, DOCKER_20, DOCKER_28_CONTAINERD, RUN_DIR, EngineDaemon, EngineKind, RunningEngine
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from tests.conftest import IsolatedHost

SCRIPTS = Path(__file__).parents[2] / "scripts"
# The lowest version each suite can have; forky moves on.
OLDEST = {"docker20": (20, 10, 24), "docker26": (26, 1), "docker28": (28, 0)}
BASE = "testbed.test/base:1"

StartEngine = Callable[..., RunningEngine]
Busybox = Callable[[RunningEngine, str], str]


@pytest.fixture
def based_engine(any_engine: RunningEngine, busybox: Busybox) -> Iterator[RunningEngine]:
    """Each engine with a base image for this test."""
    busybox(any_engine, BASE)
    yield any_engine
    any_engine.docker("image", "rm", "--force", BASE)


def version_of(engine: RunningEngine) -> tuple[int, ...]:
    return tuple(int(part) for part in engine.version.partition("+")[0].split("."))


def test_each_engine_has_the_version_and_store_it_is_named_for(any_engine: RunningEngine) -> None:
    assert version_of(any_engine) >= OLDEST[any_engine.kind.name.partition("-")[0]]
    assert any_engine.store == any_engine.kind.store
    assert any_engine.data_root.is_dir()


def test_the_image_id_is_the_config_digest_on_graph_drivers_only(based_engine: RunningEngine, tmp_path: Path) -> None:
    image_id = based_engine.docker("image", "inspect", "--format", "{{.Id}}", BASE).strip()
    archive = tmp_path / "image.tar"
    based_engine.docker("save", "--output", str(archive), BASE)
    listing = subprocess.run(["tar", "-xOf", archive, "manifest.json"], capture_output=True, text=True, check=True)
    is_config = image_id.removeprefix("sha256:") in listing.stdout
    assert is_config == (based_engine.store == "overlay2")


def test_a_container_without_a_network_runs_and_has_no_route(based_engine: RunningEngine) -> None:
    out = based_engine.run("--network", "none", BASE, "sh", "-c", "ip route; id -u")
    assert out.split() == ["0"]


def test_run_steps_of_both_builders_have_a_route_to_the_outside(based_engine: RunningEngine, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(f"FROM {BASE}\nRUN ip route | grep default\n")
    for argv, buildx in ((["docker", "buildx", "build"], True), (["docker", "build"], False)):
        env = {**based_engine.environment(buildx=buildx), "DOCKER_BUILDKIT": "1" if buildx else "0"}
        tag = f"testbed.test/built-{buildx}:1".lower()
        done = subprocess.run([*argv, "--tag", tag, tmp_path], env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        based_engine.docker("image", "rm", tag)


@contextlib.contextmanager
def server_behind_the_host(folder: Path) -> Iterator[str]:
    """Serve ``folder`` from a name space that knows no way but to the host's end of its wire; gives the address."""
    # The lock: two test runs on one machine would use the same names and addresses.
    with locked("far-host"), netns.isolated("bundler-far") as far:
        for argv in (
            ["link", "add", "bundlerwire", "type", "veth", "peer", "name", "wire", "netns", far.name],
            ["address", "add", "10.214.0.1/30", "dev", "bundlerwire"],
            ["link", "set", "bundlerwire", "up"],
            ["-n", far.name, "address", "add", "10.214.0.2/30", "dev", "wire"],
            ["-n", far.name, "link", "set", "wire", "up"],
        ):
            subprocess.run(["ip", *argv], check=True, capture_output=True)
        argv = far.inside([sys.executable, "-m", "http.server", "8080", "--directory", str(folder)])
        server = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            wait_until(lambda: answers("10.214.0.2", 8080), patience_s=60)
            yield "http://10.214.0.2:8080"
        finally:
            server.kill()
            server.wait()
            # Otherwise the wire goes some time after the name space, and the next one finds its name taken.
            subprocess.run(["ip", "link", "delete", "bundlerwire"], check=True)


def answers(host: str, port: int) -> bool:
    with contextlib.closing(socket.socket()) as probe:
        return probe.connect_ex((host, port)) == 0


def test_a_container_reaches_a_server_behind_the_host(based_engine: RunningEngine, tmp_path: Path) -> None:
    """The server knows no way back to the bridge's addresses: without masquerading no answer would come."""
    (tmp_path / "word").write_text("through")
    with server_behind_the_host(tmp_path) as address:
        assert based_engine.run(BASE, "wget", "-q", "-O", "-", f"{address}/word") == "through"


def test_the_isolated_host_has_no_way_out(isolated_host: IsolatedHost, busybox: Busybox, tmp_path: Path) -> None:
    network, engine = isolated_host.network, isolated_host.engine
    assert network.run(["ip", "-4", "route"]).stdout == ""
    assert network.run(["ip", "-6", "route"]).stdout.strip() in {"", "::1 dev lo proto kernel metric 256 pref medium"}
    assert [line.split()[0] for line in network.run(["ip", "-br", "link"]).stdout.splitlines()] == ["lo"]
    busybox(engine, BASE)
    inside = engine.run("--network", "host", BASE, "ls", "/sys/class/net").split()
    assert inside == ["lo"]
    with server_behind_the_host(tmp_path):  # the control: the host reaches it, the isolated host does not
        probe = "import socket; socket.create_connection(('10.214.0.2', 8080), 3)"
        assert network.run([sys.executable, "-c", probe]).stderr.endswith("[Errno 101] Network is unreachable\n")
    engine.docker("image", "rm", BASE)


def test_without_root_a_command_still_runs_on_an_isolated_host() -> None:
    done = subprocess.run(netns.unprivileged(["ip", "route"]), capture_output=True, text=True, check=True)
    assert done.stdout == ""


@pytest.mark.parametrize("kind", [DOCKER_20, DOCKER_28_CONTAINERD], ids=lambda kind: kind.name)
def test_an_engine_on_a_small_disk_runs_out_of_space(
    kind: EngineKind, start_engine: StartEngine, busybox: Busybox, tmp_path: Path
) -> None:
    engine = start_engine(kind, size_bytes=64 * 2**20)
    busybox(engine, BASE)
    (tmp_path / "big").write_bytes(os.urandom(80 * 2**20))
    subprocess.run(["tar", "-cf", tmp_path / "big.tar", "-C", tmp_path, "big"], check=True)
    with pytest.raises(TestbedError, match="no space left on device"):
        engine.docker("import", str(tmp_path / "big.tar"), "testbed.test/big:1")


@pytest.mark.parametrize("kind", [DOCKER_20, DOCKER_28_CONTAINERD], ids=lambda kind: kind.name)
def test_a_killed_engine_starts_again_on_its_data(
    kind: EngineKind, start_engine: StartEngine, busybox: Busybox
) -> None:
    engine = start_engine(kind)
    image_id = busybox(engine, BASE)
    engine.docker("run", "--detach", "--network", "none", BASE, "sleep", "1000")
    engine.kill()
    with pytest.raises(OSError, match=r"No such file|refused"):
        engine.get("/version")
    engine.start()
    assert engine.docker("image", "inspect", "--format", "{{.Id}}", BASE).strip() == image_id


def test_an_image_goes_through_the_registry(registry: str, based_engine: RunningEngine) -> None:
    remote = f"{registry}/{based_engine.kind.name}:1"
    before = based_engine.run("--network", "none", BASE, "sha256sum", "/bin/busybox")
    based_engine.docker("tag", BASE, remote)
    based_engine.docker("push", remote)
    based_engine.docker("image", "rm", remote, BASE)
    based_engine.docker("pull", remote)
    assert based_engine.run("--network", "none", remote, "sha256sum", "/bin/busybox") == before
    based_engine.docker("image", "rm", remote)


def test_nothing_is_left_behind(busybox: Busybox) -> None:
    with EngineDaemon(DOCKER_20, size_bytes=128 * 2**20).running() as engine:
        busybox(engine, BASE)
        engine.docker("run", "--detach", BASE, "sleep", "1000")
        name, bridge = engine.run_dir.name, (engine.run_dir / "bridge").read_text().split()[0]
    assert_no_trace(name, bridge)


def test_what_a_killed_test_run_leaves_is_removed_by_the_next(start_engine: StartEngine) -> None:
    program = (
        "import os, signal\nfrom testbed.engines import *\nfrom testbed.images import busybox_image\n"
        "with EngineDaemon(DOCKER_20, size_bytes=128 * 2**20).running() as engine:\n"
        "    busybox_image(engine, 'base:1')\n    engine.docker('run', '--detach', 'base:1', 'sleep', '1000')\n"
        "    print(engine.run_dir.name, (engine.run_dir / 'bridge').read_text(), flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=SCRIPTS, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    name, bridge, _ = done.stdout.split()
    assert (RUN_DIR / name).exists()
    start_engine(DOCKER_20)
    assert_no_trace(name, bridge)


def assert_no_trace(name: str, bridge: str) -> None:
    assert not list(RUN_DIR.glob(f"{name}*"))
    assert not list(DATA_DIR.glob(f"{name}*"))
    # os.walk, for glob fails where another engine removes a group that it is about to look into
    assert not [folder for folder, groups, _ in os.walk("/sys/fs/cgroup") if name in groups]
    assert name not in Path("/proc/self/mountinfo").read_text()
    arguments = (path for path in Path("/proc").glob("[0-9]*/cmdline"))
    assert not [path for path in arguments if f"/{name}/".encode() in content_of(path)]
    # Another engine may have it by now, or be just about to give it back.
    wait_until(lambda: rules_with(bridge) == [] or Path("/sys/class/net", bridge).exists(), patience_s=60)


def content_of(path: Path) -> bytes:
    with contextlib.suppress(OSError):  # processes come and go
        return path.read_bytes()
    return b""


def rules_with(bridge: str) -> list[str]:
    lines = subprocess.run(["iptables-save"], capture_output=True, text=True, check=True).stdout.splitlines()
    return [line for line in lines if f" {bridge} " in line]
