"""Running a command out of an image in Docker: no network or a holder's, nothing writable but /tmp, no privileges, no input."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Optional, Union

from bundler.core.digest import Digest
from bundler.core.docker_api import EngineClient, EngineRefusedError
from bundler.installer.engine import NoGpuError, RunResult, RunSpec
from bundler.installer.engines.docker_containers import container
from bundler.installer.engines.docker_running import DockerRunning, NeverStarted

_NOT_FOUND, _NOT_EXECUTABLE = 127, 126  # as shells and Docker's own client say it
_POLL_S = 0.05
_LONGEST_POLL_S = 0.5
#: What engines say where they have no GPU to give: Docker of all releases, NVIDIA's runtime, engines with CDI.
_NO_GPU = ("could not select device driver", "nvidia-container-cli", "nvml", "cdi device", "gpu vendor")


def run(client: EngineClient, image_id: Digest, spec: RunSpec) -> RunResult:
    """Run ``spec`` in a new container of the image; see ``RunSpec`` for what it can reach, and `_host_config`.

    A command that is not there or not executable is a result, 127 or 126, as a shell has it.
    """
    with started(client, image_id, spec) as running:
        exit_code = _await(running, running.began + spec.timeout_s)
        seconds = time.monotonic() - running.began
        output = running.output().decode(errors="replace")
        stdout = running.output(errors=False).decode(errors="replace") if spec.stdout_apart else ""
        return RunResult(exit_code, output, seconds, running.began, stdout)


@contextmanager
def started(client: EngineClient, image_id: Digest, spec: RunSpec) -> Iterator[Union[DockerRunning, NeverStarted]]:
    """``spec`` while it runs in a new container, which is killed and removed when the block ends.

    Raises NoGpuError where it wants a GPU and the engine has none.
    """
    with ExitStack() as stack:
        running: Union[DockerRunning, NeverStarted]
        try:
            container_id = stack.enter_context(container(client, image_id, _config(spec), _host_config(spec)))
            began = time.monotonic()
            client.ask("POST", f"/containers/{container_id}/start")
            running = DockerRunning(client, container_id, began)
        except EngineRefusedError as error:
            if spec.gpu and any(sign in error.message.lower() for sign in _NO_GPU):
                raise NoGpuError(error.message, where=client.address) from error
            code = _told_code(error.message.lower())
            if code is None:
                raise
            running = NeverStarted(code, error.message)
        yield running


def _config(spec: RunSpec) -> dict[str, object]:
    return {
        **({"Entrypoint": list(spec.command), "Cmd": []} if spec.command else {}),
        "Env": [f"{key}={value}" for key, value in spec.env.items()],
        "Healthcheck": {"Test": ["NONE"]},
        **({"User": spec.user} if spec.user is not None else {}),
    }


def _host_config(spec: RunSpec) -> dict[str, object]:
    joined = {"NetworkMode": f"container:{spec.network.container_id}"} if spec.network else {}
    return {
        **joined,
        "Mounts": [
            {"Type": "bind", "Source": str(source), "Target": target, "ReadOnly": True}
            for target, source in spec.mounts.items()
        ],
        "ReadonlyRootfs": True,
        "Tmpfs": {"/tmp": "rw,nosuid,nodev,mode=1777"},  # noqa: S108 - a path inside the container
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges"],
        # The engine's default driver may send logs elsewhere, where they cannot be read; a flood stays bounded.
        "LogConfig": {"Type": "local", "Config": {"max-size": "32m", "max-file": "2", "compress": "false"}},
        **({"DeviceRequests": [{"Count": -1, "Capabilities": [["gpu"]]}]} if spec.gpu else {}),
    }


def _told_code(text: str) -> Optional[int]:
    """The exit code for what the engine says of a command that cannot be run; None where it speaks of something else."""
    if "executable file not found" in text or ("exec" in text and "no such file or directory" in text):
        return _NOT_FOUND
    if "exec" in text and ("permission denied" in text or "is a directory" in text):
        return _NOT_EXECUTABLE
    return _NOT_FOUND if "no command specified" in text else None  # the image has none of its own


def _await(running: Union[DockerRunning, NeverStarted], deadline: float) -> Optional[int]:
    """Wait for its end, by ``time.monotonic``; kills it at the deadline and gives None."""
    pause = _POLL_S
    while True:
        exit_code = running.exit_code()
        if exit_code is not None:
            return exit_code
        left = deadline - time.monotonic()
        if left <= 0:
            running.kill()
            return None
        time.sleep(min(pause, left))
        pause = min(pause * 1.2, _LONGEST_POLL_S)
