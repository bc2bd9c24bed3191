"""Running a command in a container that has no network, and reading what it wrote out of the stopped container."""

from __future__ import annotations

import struct
import tarfile
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from bundler.builder.engine_build.export import answer_stream
from bundler.builder.engine_build.looking import created_container
from bundler.builder.engine_build.waiting import repeated
from bundler.core.docker_api import EngineClient, EngineRefusedError
from bundler.core.errors import BuildError, EngineError, Problem
from bundler.core.progress import Progress

_TAIL_LINES = 30
#: A command may work for a day without a word.
_SILENCE_S = 24 * 3600.0
_FRAME = struct.Struct(">BxxxL")


@dataclass(frozen=True)
class Task:
    """A command over an image. ``mounts`` are directories of this host, read-only, by path in the container."""

    name: str
    image: str
    command: tuple[str, ...]
    user: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    mounts: Mapping[PurePosixPath, Path] = field(default_factory=dict)


@contextmanager
def finished_container(client: EngineClient, task: Task, token: str, progress: Progress) -> Iterator[str]:
    """The stopped container in which ``task`` ran and ended well; BuildError with the end of its output otherwise."""
    settings: dict[str, object] = {
        "Entrypoint": [task.command[0]],
        "Cmd": list(task.command[1:]),
        "Env": [f"{name}={value}" for name, value in task.env.items()],
        "HostConfig": {
            "NetworkMode": "none",
            "Mounts": [_mount(target, source) for target, source in task.mounts.items()],
            "LogConfig": {"Type": "json-file", "Config": {}},
            "SecurityOpt": ["no-new-privileges", "label=disable"],
        },
    }
    if task.user is not None:
        settings["User"] = task.user
    with created_container(client, task.image, token, **settings) as container:
        _run(client, container, task, progress)
        yield container


def _mount(target: PurePosixPath, source: Path) -> dict[str, object]:
    return {"Type": "bind", "Source": str(source), "Target": str(target), "ReadOnly": True}


def _run(client: EngineClient, container: str, task: Task, progress: Progress) -> None:
    try:
        client.ask("POST", f"/containers/{container}/start")
    except EngineRefusedError as error:
        raise _failed(task, f"cannot be started: {error.message}", ()) from error
    with repeated(lambda seconds: progress.note(f"{task.name}: running for {seconds:.0f} s")):
        for line in _lines(client, container, follow=True):
            progress.note(f"{task.name}: {line}")
        answer = client.ask_json("POST", f"/containers/{container}/wait", timeout_s=_SILENCE_S)
    if answer.get("StatusCode") != 0:
        # Read again: who follows a log may miss the last line of a command that ends without a line feed.
        tail = deque(_lines(client, container, follow=False), maxlen=_TAIL_LINES)
        raise _failed(task, f"ended with exit code {answer.get('StatusCode')}", tail)


def _failed(task: Task, how: str, tail: Iterable[str]) -> BuildError:
    return BuildError(
        f"the command of {task.name} {how}",
        where=task.name,
        remedy="correct the command; it has no network and finds the models at their paths, read-only",
        problems=[Problem("output", line) for line in tail],
    )


def _lines(client: EngineClient, container: str, *, follow: bool) -> Iterator[str]:
    """Both outputs line by line, until the container ends or as far as they have come."""
    params = {"follow": int(follow), "stdout": 1, "stderr": 1}
    answer = client.ask("GET", f"/containers/{container}/logs", params=params, stream=True, timeout_s=_SILENCE_S)
    rest: dict[int, bytes] = {}
    try:
        for stream, payload in _frames(answer_stream(answer, client.address)):
            *lines, rest[stream] = (rest.get(stream, b"") + payload).split(b"\n")
            yield from (line.decode(errors="replace").rstrip() for line in lines)
    finally:
        answer.close()
    yield from (text.decode(errors="replace") for text in rest.values() if text)


def _frames(stream: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Docker Engine API, "ContainerAttach", "Stream format": eight bytes of header, then so many of payload."""
    while header := _exactly(stream, _FRAME.size):
        number, size = _FRAME.unpack(header)
        yield number, _exactly(stream, size)


def _exactly(stream: BinaryIO, size: int) -> bytes:
    content = bytearray()
    while len(content) < size and (piece := stream.read(size - len(content))):
        content += piece
    return bytes(content) if len(content) == size else b""


@contextmanager
def opened_archive(client: EngineClient, container: str, path: PurePosixPath) -> Iterator[tarfile.TarFile | None]:
    """What stands at ``path`` of the container as a stream of tar; None where nothing does."""
    try:
        answer = client.ask("GET", f"/containers/{container}/archive", params={"path": str(path)}, stream=True)
    except EngineRefusedError as error:
        if error.status != HTTPStatus.NOT_FOUND:
            raise
        yield None
        return
    try:
        with tarfile.open(fileobj=answer_stream(answer, client.address), mode="r|") as archive:
            yield archive
    except tarfile.TarError as error:
        what = f"the engine's archive of {path} is damaged: {error}"
        raise EngineError(what, where=client.address, remedy="run the same command again") from error
    finally:
        answer.close()


def first_member(client: EngineClient, container: str, path: PurePosixPath) -> tarfile.TarInfo | None:
    """What stands at ``path`` itself; only the first header of its archive is read."""
    with opened_archive(client, container, path) as archive:
        return archive.next() if archive else None
