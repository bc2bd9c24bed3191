"""A command that runs in a container of Docker: whether it has ended and how, what it printed, and its end."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from typing import Optional

from bundler.core.digest import CHUNK_BYTES
from bundler.core.docker_api import Answer, EngineClient, EngineRefusedError, translated
from bundler.core.errors import EngineError

MAX_OUTPUT_SIZE = 1 << 20
_FRAME_HEADER_SIZE = 8
#: Answers to a stop or kill of what has ended by itself meanwhile.
_ENDED_ALREADY = {304, 409}


class DockerRunning:
    """Fills ``bundler.installer.engine.Running`` for a container that was started."""

    def __init__(self, client: EngineClient, container_id: str, began: float) -> None:
        self._client = client
        self.container_id = container_id
        self.began = began
        self._path = f"/containers/{container_id}"

    def exit_code(self) -> Optional[int]:
        """None while it runs."""
        state = self._client.ask_json("GET", f"{self._path}/json")["State"]
        return None if state["Running"] else _exit_code(state, self._client.address)

    def stop(self, grace_s: float) -> None:
        """Ask it to end with its image's signal, SIGTERM as a rule, and kill it after whole seconds; wait for that."""
        self._end("stop", {"t": str(math.ceil(grace_s))})

    def kill(self) -> None:
        """Kill it and wait until the engine has seen its end, so that its output is whole."""
        self._end("kill", {"signal": "KILL"})

    def _end(self, way: str, params: dict[str, object]) -> None:
        try:
            self._client.ask("POST", f"{self._path}/{way}", params=params)
        except EngineRefusedError as error:
            if error.status not in _ENDED_ALREADY:
                raise
        self._client.ask("POST", f"{self._path}/wait")

    def output(self, *, errors: bool = True) -> bytes:
        """The last ``MAX_OUTPUT_SIZE`` bytes of its output and errors, in the order in which the engine received them.

        Without ``errors`` what it wrote to standard error is left out.
        """
        params = {"stdout": "1", "stderr": "1" if errors else "0"}
        answer = self._client.ask("GET", f"{self._path}/logs", params=params, stream=True)
        tail = bytearray()
        try:
            with translated(self._client.address):
                for piece in _frames(answer):
                    tail += piece
                    if len(tail) > 2 * MAX_OUTPUT_SIZE:
                        del tail[:-MAX_OUTPUT_SIZE]
        finally:
            answer.close()
        return bytes(tail[-MAX_OUTPUT_SIZE:])


class NeverStarted:
    """Fills ``bundler.installer.engine.Running`` for a command that the engine could not start."""

    container_id = ""

    def __init__(self, code: int, message: str) -> None:
        self.began = time.monotonic()
        self._code = code
        self._message = message

    def exit_code(self) -> Optional[int]:
        """As a shell says it: 127 for one that is not there, 126 for one that is not executable."""
        return self._code

    def stop(self, grace_s: float) -> None:
        """Nothing runs."""

    def kill(self) -> None:
        """Nothing runs."""

    def output(self, *, errors: bool = True) -> bytes:  # noqa: ARG002 - there is no other text
        """The engine's text."""
        return self._message.encode()


def _exit_code(state: dict[str, object], where: str) -> int:
    if state.get("Error"):
        raise EngineError(
            f"the engine could not run a container: {state['Error']}",
            where=where,
            remedy="look into the engine's log (journalctl -u docker), then run the same command again",
        )
    return int(str(state["ExitCode"]))


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
