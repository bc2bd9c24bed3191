"""Tags that only one build knows, and their removal, also of builds that were killed.

All of them stand under the host ``bundler.invalid``, which no resolver knows (RFC 2606): a builder that misses one
fails instead of asking a registry for it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from bundler.builder.engine_build.looking import CONTAINER_LABEL, find_image
from bundler.core.docker_api import EngineClient, EngineRefusedError
from bundler.core.errors import PreconditionError
from bundler.core.locking import exclusive_lock

REPOSITORY = "bundler.invalid/build"
CACHE = "bundler.invalid/cache"
#: The role of tags on images that bundler did not make and does not remove.
OUTSIDE = "outside"
#: A build on another machine, whose lock is not seen here, is taken for dead after this time.
FOREIGN_AGE_S = 24 * 3600


class PrivateTags:
    """The tags of one build, counted up."""

    def __init__(self, token: str) -> None:
        self.token = token
        self._count = 0

    def new(self, role: str) -> str:
        """A tag that nothing has; ``role`` is for people who look at the engine while the build runs."""
        self._count += 1
        return f"{REPOSITORY}:{self.token}-{self._count}-{role}"


@contextlib.contextmanager
def private_tags(client: EngineClient, work: Path) -> Iterator[PrivateTags]:
    """Tags for one build; at the end its images and containers are removed, the builder's cache stays.

    What killed builds left is removed at the beginning. ``work`` is where builds of this machine show that they live.
    """
    sweep(client, work)
    token = f"{int(time.time())}-{secrets.token_hex(4)}"
    lock = work / f"{token}.lock"
    with exclusive_lock(lock, f"the build {token}"):
        try:
            yield PrivateTags(token)
        finally:
            _remove_containers(client, token)
            _remove_tags(client, token)
            lock.unlink(missing_ok=True)


def sweep(client: EngineClient, work: Path) -> None:
    """Remove what builds left that are no more."""
    tokens = {_token(tag) for tag in _tags(client, REPOSITORY)} | set(_containers(client).values())
    for token in sorted(tokens):
        if _is_dead(token, work):
            _remove_containers(client, token)
            _remove_tags(client, token)
            (work / f"{token}.lock").unlink(missing_ok=True)


def keep_as_cache(client: EngineClient, image: str, *identity: str) -> None:
    """Hold ``image`` so that the classic builder, whose cache are its images, finds its steps the next time.

    One image for each ``identity``; the one before goes.
    """
    key = hashlib.sha256("\0".join(identity).encode()).hexdigest()[:16]
    before, now = find_image(client, f"{CACHE}:{key}"), find_image(client, image)
    client.ask("POST", f"/images/{quote(image, safe='/:@')}/tag", params={"repo": CACHE, "tag": key})
    if before and now and before.id != now.id:
        _remove_image(client, before.id)


def tag_image(client: EngineClient, image: str, tag: str) -> None:
    """Give the image one more name."""
    repository, _, name = tag.rpartition(":")
    client.ask("POST", f"/images/{quote(image, safe='/:@')}/tag", params={"repo": repository, "tag": name})


def _token(tag: str) -> str:
    return "-".join(tag.rpartition(":")[2].split("-")[:2])


def _is_dead(token: str, work: Path) -> bool:
    lock = work / f"{token}.lock"
    if not lock.exists():
        began = token.partition("-")[0]
        return not began.isdecimal() or time.time() - int(began) > FOREIGN_AGE_S
    try:
        with exclusive_lock(lock, f"the build {token}"):
            return True
    except PreconditionError:
        return False


def _tags(client: EngineClient, repository: str) -> list[str]:
    filters = json.dumps({"reference": [repository]})
    found = client.ask_json("GET", "/images/json", params={"filters": filters})
    names = [tag for image in found for tag in image.get("RepoTags") or ()]
    return [name for name in names if name.startswith(f"{repository}:")]


def _containers(client: EngineClient) -> dict[str, str]:
    """Containers of builds by id, with their tokens."""
    filters = json.dumps({"label": [CONTAINER_LABEL]})
    found = client.ask_json("GET", "/containers/json", params={"all": 1, "filters": filters})
    return {str(each["Id"]): str(each["Labels"][CONTAINER_LABEL]) for each in found}


def _remove_containers(client: EngineClient, token: str) -> None:
    for container, owner in _containers(client).items():
        if owner == token:
            with contextlib.suppress(EngineRefusedError):  # it may be on its way out
                client.ask("DELETE", f"/containers/{container}", params={"v": 1, "force": 1})


def _remove_tags(client: EngineClient, token: str) -> None:
    for tag in sorted(_tags(client, REPOSITORY), reverse=True):
        if _token(tag) == token:
            if tag.endswith(f"-{OUTSIDE}"):
                _release(client, tag)
            _remove_image(client, tag)


def _release(client: EngineClient, tag: str) -> None:
    """Make ``tag`` safe to remove: the engine deletes an image with its last name, and this one may be a person's.

    An image that has no other name is left without one by moving the tag to an empty image, which then goes with it.
    """
    image = find_image(client, tag)
    if image and not any(name for name in image.names if not name.startswith((f"{REPOSITORY}:", f"{REPOSITORY}@"))):
        repository, _, name = tag.rpartition(":")
        parameters = {"fromSrc": "-", "repo": repository, "tag": name}
        answer = client.ask("POST", "/images/create", params=parameters, data=iter([bytes(1024)]))
        answer.close()


def _remove_image(client: EngineClient, name: str) -> None:
    """Take a name away, and the image with it where it was the last and nothing stands on it."""
    with contextlib.suppress(EngineRefusedError):
        client.ask("DELETE", f"/images/{quote(name, safe='/:@')}")
