"""Containers in Docker that look into an image or run a command, and go when they are done.

None has a network. Each carries a label that names the process that made it, so that what a killed run left behind
can be told from what another run is using now.
"""

from __future__ import annotations

import base64
import json
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Optional, cast

from bundler.core.digest import CHUNK_BYTES, Digest
from bundler.core.docker_api import Answer, EngineClient, EngineRefusedError, not_docker, translated
from bundler.core.readers import Reader
from bundler.installer.engine import Container, FileStat

LABEL = "io.bundler.probe"
# Bits of Go's os.FileMode, which the archive API speaks in; the lowest nine are those of POSIX.
_GO_KINDS = {1 << 31: "directory", 1 << 27: "link", 1 << 26: "other", 1 << 25: "other", 1 << 24: "other"}
_GO_KINDS.update({1 << 21: "other", 1 << 19: "other"})
_GO_EXTRA_MODES = {1 << 23: stat.S_ISUID, 1 << 22: stat.S_ISGID, 1 << 20: stat.S_ISVTX}


class DockerContainer:
    """Fills ``bundler.installer.engine.Container``."""

    def __init__(self, client: EngineClient, container_id: str) -> None:
        self._client = client
        self._path = f"/containers/{container_id}/archive"

    def stat(self, path: str) -> Optional[FileStat]:
        """What stands at ``path``, a link at its end not followed; None where nothing does."""
        try:
            answer = self._client.ask("HEAD", self._path, params={"path": path})
        except EngineRefusedError as error:
            if error.status != 404:
                raise
            if path != "/":
                self.stat("/")  # an answer to HEAD has no text: the container could be what is missing
                return None
            raise
        return _file_stat(answer.headers.get("X-Docker-Container-Path-Stat", ""), self._client.address)

    def archive(self, path: str) -> BinaryIO:
        """What stands at and below ``path`` as a tar stream, its names relative to the path's parent.

        Raises EngineRefusedError of status 404 where nothing does. The stream is to be closed.
        """
        answer = self._client.ask("GET", self._path, params={"path": path}, stream=True)
        return cast("BinaryIO", _AnswerReader(answer, self._client.address))


class _AnswerReader(Reader):
    """The body of an answer as a stream."""

    def __init__(self, answer: Answer, where: str) -> None:
        super().__init__()
        self._answer = answer
        self._chunks = answer.iter_content(CHUNK_BYTES)
        self._where = where

    def next_chunk(self) -> bytes:
        """The next piece; EngineError where the engine is gone."""
        with translated(self._where):
            return next(self._chunks, b"")

    def close(self) -> None:
        """End the request."""
        self._answer.close()
        super().close()


def _file_stat(header: str, where: str) -> FileStat:
    """Read the header of the archive API: base64 of JSON."""
    try:
        document = json.loads(base64.b64decode(header, validate=True))
        mode, size = int(document["mode"]), int(document["size"])
    except (ValueError, KeyError, TypeError) as error:
        raise not_docker(where) from error
    kind = next((name for bit, name in _GO_KINDS.items() if mode & bit), "file")
    extra = sum(posix for bit, posix in _GO_EXTRA_MODES.items() if mode & bit)
    return FileStat(kind, size, mode & 0o777 | extra)


@contextmanager
def created(client: EngineClient, image_id: Digest) -> Iterator[Container]:
    """A container of the image that is never started, removed with its anonymous volumes at the end."""
    with container(client, image_id, {"Entrypoint": ["/bundler-probe"], "Cmd": []}, {}) as container_id:
        yield DockerContainer(client, container_id)


@contextmanager
def container(
    client: EngineClient, image_id: Digest, config: Mapping[str, object], host_config: Mapping[str, object]
) -> Iterator[str]:
    """A new container without a network, by its id; killed and removed with its anonymous volumes at the end."""
    body = {
        "Image": str(image_id),
        "Labels": {LABEL: _owner(os.getpid())},
        **config,
        "HostConfig": {"NetworkMode": "none", **host_config},
    }
    document = client.ask_json("POST", "/containers/create", body=body)
    container_id = str(document.get("Id") if isinstance(document, dict) else "")
    if not container_id:
        raise not_docker(client.address)
    try:
        yield container_id
    finally:
        remove(client, container_id)


def remove(client: EngineClient, container_id: str) -> None:
    """Kill and remove a container and its anonymous volumes; one that is gone is no error."""
    try:
        client.ask("DELETE", f"/containers/{container_id}", params={"v": "1", "force": "1"})
    except EngineRefusedError as error:
        if error.status not in {404, 409}:  # 409: its removal is in progress already
            raise


def remove_leftovers(client: EngineClient) -> int:
    """Remove the containers of runs on this host that are gone; gives their number."""
    filters = json.dumps({"label": [LABEL]})
    found: list[dict[str, Any]] = client.ask_json("GET", "/containers/json", params={"all": "1", "filters": filters})
    same_host = client.address.startswith("unix:")
    left = [str(entry["Id"]) for entry in found if _is_left((entry.get("Labels") or {}).get(LABEL, ""), same_host)]
    for container_id in left:
        remove(client, container_id)
    return len(left)


def _owner(pid: int) -> str:
    """What names a process for as long as this host runs: boot, name space of process ids, id, time of its start.

    Source: proc(5), ``/proc/sys/kernel/random/boot_id`` and field 22 of ``/proc/<pid>/stat``.
    """
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    space = Path("/proc/self/ns/pid").readlink()
    started = Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()[19]
    return f"{boot} {space} {pid} {started}"


def _is_left(owner: str, same_host: bool) -> bool:
    """Whether the process of that name is gone; those of other hosts and name spaces cannot be seen from here."""
    here = _owner(os.getpid()).split()
    parts = owner.split()
    if len(parts) != len(here) or parts[0] != here[0]:
        return same_host  # the host was started anew since, and no process outlives that
    if parts[1] != here[1]:
        return False
    try:
        return _owner(int(parts[2])) != owner
    except (OSError, ValueError):
        return True
