"""What goes wrong around a Docker engine: a full disk, a kill, a damaged layer, a socket that is not ours."""

from __future__ import annotations

import contextlib
import io
import os
import secrets
import subprocess
from collections.abc import Callable, Iterator
from typing import BinaryIO, cast

import pytest

from bundler.core.docker_api import connect
from bundler.core.errors import BundleError, EngineError, PreconditionError
from bundler.installer.engines.docker import DockerEngine
from testbed.engines import (
    DOCKER_20,
    DOCKER_26_CONTAINERD,
    DOCKER_28,
    DOCKER_28_CONTAINERD,
    EngineKind,
    RunningEngine,
)
from tests.support.docker_engines import Failing, ids_of, load, raw
from tests.support.handmade import file_layer, make_image
from tests.support.waiting import wait_until

StartEngine = Callable[..., RunningEngine]
NAME = "registry.test.local:5000/team/app:1"
FLIPPED = BundleError("flipped", where="a test's layer", remedy="none")


@pytest.mark.parametrize("kind", [DOCKER_26_CONTAINERD, DOCKER_28_CONTAINERD], ids=lambda kind: kind.name)
def test_containerd_keeps_nothing_of_a_failed_load(start_engine: StartEngine, kind: EngineKind) -> None:
    running = start_engine(kind)
    engine = DockerEngine(connect(running.base_url))
    noise = file_layer("models/c", secrets.token_bytes(3_000_000))
    image = make_image(NAME, [noise])
    with pytest.raises(BundleError):
        engine.load_layer(image, cast("BinaryIO", Failing(noise.stored, 2_900_000, FLIPPED)))
    wait_until(lambda: not of_containerd(running), lambda: of_containerd(running))


def of_containerd(running: RunningEngine) -> list[str]:
    """Leases, blobs, unfinished blobs and images that containerd keeps for Docker."""
    argv = ["ctr", "--address", f"{running.run_dir}/containerd.sock", "--namespace", "moby"]
    lists = (["leases", "ls", "-q"], ["content", "ls", "-q"], ["content", "active"], ["images", "ls", "-q"])
    done = [subprocess.run([*argv, *what], capture_output=True, text=True, check=True) for what in lists]
    return [line for run in done for line in run.stdout.splitlines() if line.strip() and not line.startswith("REF")]


@contextlib.contextmanager
def as_nobody() -> Iterator[None]:
    groups, group = os.getgroups(), os.getegid()
    os.setgroups([])
    os.setegid(65534)
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(group)
        os.setgroups(groups)


def test_a_socket_that_this_user_may_not_open(docker20: RunningEngine) -> None:
    with as_nobody(), pytest.raises(PreconditionError, match="no permission") as raised:
        connect(docker20.base_url)
    assert raised.value.exit_code == 10


def test_an_engine_older_than_we_take(docker20: RunningEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    # No older engine than 20.10 can be had here, so what we ask for is raised above what a real one has.
    monkeypatch.setattr("bundler.core.docker_api.OLDEST_API", (1, 42))
    with pytest.raises(EngineError, match=r"Docker 20\.10\.24.* is too old: its API ends at 1\.41, 1\.42 is needed"):
        connect(docker20.base_url)


@pytest.mark.parametrize("kind", [DOCKER_20, DOCKER_28, DOCKER_28_CONTAINERD], ids=lambda kind: kind.name)
def test_a_full_disk_is_named_and_leaves_what_stood(start_engine: StartEngine, kind: EngineKind) -> None:
    running = start_engine(kind, size_bytes=64 << 20)
    engine = DockerEngine(connect(running.base_url))
    small, large = file_layer("a", b"a"), file_layer("b", secrets.token_bytes(80 << 20))
    image = make_image(NAME, [small, large])
    load(engine, image.prefix(1), [small])
    before, free = ids_of(running), engine.facts().free_size
    with pytest.raises(PreconditionError, match="no space left") as raised:
        engine.load_layer(image, raw(engine, large))
    assert raised.value.exit_code == 10
    assert ids_of(running) == before
    wait_until(lambda: engine.facts().free_size >= free - (1 << 20))  # type: ignore[operator]


@pytest.mark.parametrize("kind", [DOCKER_20, DOCKER_28_CONTAINERD], ids=lambda kind: kind.name)
def test_an_engine_that_dies_while_a_layer_streams(start_engine: StartEngine, kind: EngineKind) -> None:
    running = start_engine(kind)
    engine = DockerEngine(connect(running.base_url))
    layer = file_layer("models/c", secrets.token_bytes(20 << 20))
    image = make_image(NAME, [layer])

    class Killing(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell() > 10 << 20 and running.socket.exists():
                running.kill()
            return super().read(size)

    with pytest.raises(EngineError) as raised:
        engine.load_layer(image, Killing(layer.bytes_for(engine.facts().store)))
    assert raised.value.exit_code == 8
    with pytest.raises(EngineError, match="no engine answers"):
        engine.facts()
    running.start()
    assert ids_of(running) == set()
    assert load(engine, image, [layer]) == engine.id_of(image)
