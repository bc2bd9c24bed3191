"""Looking into the engine's images: what it says of them, and what stands at a path, without running anything."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote

from bundler.core.digest import Digest
from bundler.core.docker_api import EngineClient, EngineRefusedError, not_docker
from bundler.core.errors import BuildError, Problem

#: Go's ``os.FileMode`` (package fs, "FileMode"): bits of the archive API's stat.
_GO_DIRECTORY = 1 << 31
_GO_LINK = 1 << 27
#: Whoever finds a container of ours after a kill may remove it.
CONTAINER_LABEL = "bundler.build"


@dataclass(frozen=True)
class EngineImage:
    """What the engine says of an image; ``id`` is a config digest or, with a containerd store, a manifest digest."""

    id: str
    diff_ids: tuple[Digest, ...]
    platform: str
    env: Mapping[str, str]
    user: str
    names: tuple[str, ...]
    """Tags and digests under which the engine holds it."""
    size: int
    """Bytes of its layers, as the engine counts them; a containerd store adds the compressed ones."""


def find_image(client: EngineClient, name: str) -> EngineImage | None:
    """The image of that name or id; None where the engine has none."""
    try:
        document = client.ask_json("GET", f"/images/{quote(name, safe='/:@')}/json")
    except EngineRefusedError as error:
        if error.status == HTTPStatus.NOT_FOUND:
            return None
        raise
    try:
        return _parsed(document)
    except (KeyError, TypeError, ValueError) as error:
        raise not_docker(client.address) from error


def require_image(client: EngineClient, name: str) -> EngineImage:
    """The image of that name or id, which this run made; BuildError where it is gone."""
    found = find_image(client, name)
    if found is None:
        raise BuildError(
            f"the image {name}, made by this run, is not in the engine",
            where=client.address,
            remedy="look whether something else removes images there, and whether the builder has the same engine",
        )
    return found


def _parsed(document: dict[str, Any]) -> EngineImage:
    config = document.get("Config") or {}
    pairs = (entry.partition("=") for entry in config.get("Env") or ())
    variant = f"/{document['Variant']}" if document.get("Variant") else ""
    return EngineImage(
        id=str(document["Id"]),
        diff_ids=tuple(Digest.parse(each) for each in (document.get("RootFS") or {}).get("Layers") or ()),
        platform=f"{document['Os']}/{document['Architecture']}{variant}",
        env={name: value for name, _, value in pairs},
        user=str(config.get("User") or ""),
        names=(*(document.get("RepoTags") or ()), *(document.get("RepoDigests") or ())),
        size=int(document.get("Size") or 0),
    )


def history_length(client: EngineClient, name: str) -> int:
    """Number of entries in the image's history."""
    return len(client.ask_json("GET", f"/images/{quote(name, safe='/:@')}/history"))


@contextmanager
def created_container(client: EngineClient, image: str, token: str, **settings: object) -> Iterator[str]:
    """A container that is not started, removed with its volumes at the end; ``settings`` go into its document."""
    body = {"Image": image, "Cmd": ["-"], "NetworkDisabled": True, "Labels": {CONTAINER_LABEL: token}, **settings}
    container = str(client.ask_json("POST", "/containers/create", body=body)["Id"])
    try:
        yield container
    finally:
        client.ask("DELETE", f"/containers/{container}", params={"v": 1, "force": 1})


def missing_directories(client: EngineClient, container: str, wanted: tuple[PurePosixPath, ...]) -> list[PurePosixPath]:
    """Which of the directories lack, parents first.

    Raises BuildError, with all of them, where a link or a file stands at one: models would not be where they should be.
    """
    missing: list[PurePosixPath] = []
    blocked: dict[PurePosixPath, str] = {}
    for path in sorted(wanted):
        if any(parent in blocked for parent in path.parents):
            continue
        mode = None if path.parent in missing else _mode(client, container, path)
        if mode is None:
            missing.append(path)
        elif not mode & _GO_DIRECTORY:
            blocked[path] = "a symbolic link" if mode & _GO_LINK else "not a directory"
    if blocked:
        first, kind = next(iter(blocked.items()))
        raise BuildError(
            f"{first} is {kind} in the image, and models should stand below it",
            where=str(first),
            remedy="choose model paths in the recipe whose parents are directories or do not exist",
            problems=[Problem(str(path), f"is {kind} in the image") for path, kind in blocked.items()],
        )
    return missing


def _mode(client: EngineClient, container: str, path: PurePosixPath) -> int | None:
    try:
        answer = client.ask("HEAD", f"/containers/{container}/archive", params={"path": str(path)})
    except EngineRefusedError as error:
        if error.status == HTTPStatus.NOT_FOUND:
            return None
        raise
    try:
        return int(json.loads(base64.b64decode(answer.headers["X-Docker-Container-Path-Stat"]))["mode"])
    except (KeyError, ValueError) as error:
        raise not_docker(client.address) from error
