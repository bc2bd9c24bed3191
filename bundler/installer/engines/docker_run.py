"""Running a command out of an image in Docker: no network or a holder's, nothing writable but /tmp, no privileges, no input."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Optional

from bundler.core.digest import CHUNK_BYTES, Digest
from bundler.core.docker_api import Answer, EngineClient, EngineRefusedError, translated
from bundler.core.errors import EngineError
from bundler.installer.engine import RunResult, RunSpec
from bundler.installer.engines.docker_containers import container

MAX_OUTPUT_SIZE = 1 << 20
_NOT_FOUND, _NOT_EXECUTABLE = 127, 126  # as shells and Docker's own client say it
_POLL_S = 0.05
_LONGEST_POLL_S = 0.5
_FRAME_HEADER_SIZE = 8


def run(client: EngineClient, image_id: Digest, spec: RunSpec) -> RunResult:
    """Run ``spec`` in a new container of the image; see ``RunSpec`` for what it can reach, and `_host_config`.

    A command that is not there or not executable is a result, 127 or 126, as a shell has it.
    """
    config = {
        **({"Entrypoint": list(spec.command), "Cmd": []} if spec.command else {}),
        "Env": [f"{key}={value}" for key, value in spec.env.items()],
        "Healthcheck": {"Test": ["NONE"]},
        **({"User": spec.user} if spec.user is not None else {}),
    }
    with container(client, image_id, config, _host_config(spec)) as container_id:
        began = time.monotonic()
        refused = _start(client, container_id)
        if refused is not None:
            return RunResult(refused[0], refused[1], time.monotonic() - began, began)
        exit_code = _await(client, container_id, began + spec.timeout_s)
        seconds = time.monotonic() - began
        stdout = _output(client, container_id, errors=False) if spec.stdout_apart else ""
        return RunResult(exit_code, _output(client, container_id), seconds, began, stdout)


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
    }


def _start(client: EngineClient, container_id: str) -> Optional[tuple[int, str]]:
    """Start it; exit code and text where its command cannot be run."""
    try:
        client.ask("POST", f"/containers/{container_id}/start")
    except EngineRefusedError as error:
        text = error.message.lower()
        if "executable file not found" in text or ("exec" in text and "no such file or directory" in text):
            return _NOT_FOUND, error.message
        if "exec" in text and ("permission denied" in text or "is a directory" in text):
            return _NOT_EXECUTABLE, error.message
        raise
    return None


def _await(client: EngineClient, container_id: str, deadline: float) -> Optional[int]:
    """Wait for its end, by ``time.monotonic``; kills it at the deadline and gives None."""
    pause = _POLL_S
    while True:
        state = client.ask_json("GET", f"/containers/{container_id}/json")["State"]
        if not state["Running"]:
            return _exit_code(state, client.address)
        left = deadline - time.monotonic()
        if left <= 0:
            _kill(client, container_id)
            return None
        time.sleep(min(pause, left))
        pause = min(pause * 1.2, _LONGEST_POLL_S)


def _exit_code(state: dict[str, object], where: str) -> int:
    if state.get("Error"):
        raise EngineError(
            f"the engine could not run a container: {state['Error']}",
            where=where,
            remedy="look into the engine's log (journalctl -u docker), then run the same command again",
        )
    return int(str(state["ExitCode"]))


def _kill(client: EngineClient, container_id: str) -> None:
    """Kill it and wait until the engine has seen its end, so that its output is whole."""
    try:
        client.ask("POST", f"/containers/{container_id}/kill", params={"signal": "KILL"})
    except EngineRefusedError as error:
        if error.status != 409:  # it ended by itself meanwhile
            raise
    client.ask("POST", f"/containers/{container_id}/wait")


def _output(client: EngineClient, container_id: str, *, errors: bool = True) -> str:
    """The last ``MAX_OUTPUT_SIZE`` bytes of its output and errors, in the order in which the engine received them."""
    params = {"stdout": "1", "stderr": "1" if errors else "0"}
    answer = client.ask("GET", f"/containers/{container_id}/logs", params=params, stream=True)
    tail = bytearray()
    try:
        with translated(client.address):
            for piece in _frames(answer):
                tail += piece
                if len(tail) > 2 * MAX_OUTPUT_SIZE:
                    del tail[:-MAX_OUTPUT_SIZE]
    finally:
        answer.close()
    return bytes(tail[-MAX_OUTPUT_SIZE:]).decode(errors="replace")


def _frames(answer: Answer) -> Iterator[bytes]:
    """The contents of the frames in a multiplexed stream (Engine API, "Attach to a container", "Stream format")."""
    waiting = bytearray()
    for piece in answer.iter_content(CHUNK_BYTES):
        waiting += piece
        while len(waiting) >= _FRAME_HEADER_SIZE:
            end = _FRAME_HEADER_SIZE + int.from_bytes(waiting[4:_FRAME_HEADER_SIZE], "big")
            if len(waiting) < end:
                break
            yield bytes(waiting[_FRAME_HEADER_SIZE:end])
            del waiting[:end]
