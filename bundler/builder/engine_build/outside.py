"""Images from outside that Dockerfiles name: what identifies them, and how they come into the engine.

An image is taken by what the lock says; else as the engine holds it under its name; else it is pulled by the digest
that its registry gives for the name. Nothing is pulled by tag, so no tag of the engine's is made or moved. Images of
others with `from: engine` are never pulled: the recipe says that they are there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, cast

from bundler.builder.agreement import Role
from bundler.builder.engine_build.looking import EngineImage, find_image
from bundler.builder.engine_build.waiting import waiting_task
from bundler.builder.lock import Lock, LockedImage
from bundler.core.digest import Digest
from bundler.core.docker_api import EngineClient, EngineRefusedError, complaint, translated
from bundler.core.errors import BuildError, EngineError
from bundler.core.progress import Progress
from bundler.core.reference import Reference


class OutsideImages:
    """The engine as a source of images for ``platform``."""

    def __init__(self, client: EngineClient, platform: str, progress: Progress) -> None:
        self._client = client
        self._platform = platform
        self._progress = progress

    def resolve(self, asked: str, lock: Lock | None, role: Role = "from") -> LockedImage:
        """What identifies the image of a ``FROM``, pulled if it has to be, or one of ``images:`` that the engine has.

        An image that the engine pulled is identified by its registry's digest, one that was made or loaded here by
        its id. Raises EngineError or BuildError where it cannot be had.
        """
        locked = lock.image_asked(role, asked) if lock else None
        if locked is None:
            kind, value = self._identity(Reference.parse(asked).tagged(), role)
            locked = LockedImage(role=role, asked=asked, kind=kind, value=value)
        self.take(locked)
        return locked

    def _identity(self, reference: Reference, role: Role) -> tuple[Literal["registry-digest", "image-id"], Digest]:
        if reference.digest is not None:
            return "registry-digest", reference.digest
        held = find_image(self._client, str(reference))
        if held is None and role == "image":
            raise self._missing(reference.familiar, f"docker pull {reference.familiar}")
        if held is None:
            return "registry-digest", self._registry_digest(reference)
        pulled = None if self._names_everything() else _pulled_digest(held, reference)
        return ("registry-digest", pulled) if pulled else ("image-id", Digest.parse(held.id))

    def _names_everything(self) -> bool:
        """A containerd store gives each image a RepoDigest, also one that no registry has ever seen."""
        status = self._client.ask_json("GET", "/info").get("DriverStatus") or []
        return ["driver-type", "io.containerd.snapshotter.v1"] in status

    def _registry_digest(self, reference: Reference) -> Digest:
        self._progress.note(f"{reference.familiar} is not in the engine; asking its registry")
        try:
            with translated(self._client.address):
                answer = cast("Any", self._client).inspect_distribution(str(reference))
        except EngineRefusedError as error:
            raise EngineError(
                f"{reference.familiar} is not in the engine, and its registry did not tell of it: {error.message}",
                where=str(reference),
                remedy="check the name and the way to the registry; or load an image of that name into the engine",
            ) from error
        try:
            return Digest.parse(answer["Descriptor"]["digest"])
        except (KeyError, TypeError, ValueError) as error:
            raise EngineError(
                f"the engine knows no digest of {reference}",
                where=self._client.address,
                remedy="pull the image by hand, then build again",
            ) from error

    def take(self, locked: LockedImage) -> EngineImage:
        """The locked image in the engine, pulled if it has to be; raises where it is not to be had or not ours."""
        reference = Reference.parse(locked.asked).tagged()
        name = str(locked.value) if locked.kind == "image-id" else f"{reference.name}@{locked.value}"
        found = find_image(self._client, name)
        if found is None and locked.kind == "registry-digest":
            if locked.role == "image":
                raise self._missing(locked.asked, f"docker pull {name}")
            self._pull(name)
            found = find_image(self._client, name)
        if found is None:
            raise BuildError(
                f"{locked.asked} is locked as {locked.value}, which the engine does not hold",
                where=self._client.address,
                remedy="load that image into the engine, or take today's: `bundler lock RECIPE --upgrade`",
            )
        self._require_platform(found, locked.asked)
        return found

    def _missing(self, asked: str, command: str) -> EngineError:
        return EngineError(
            f"{asked} is not in the engine, and the recipe takes it from there",
            where=self._client.address,
            remedy=f"`{command}`, load it, or say `from: registry` in the recipe",
        )

    def _pull(self, name: str) -> None:
        self._progress.note(f"pulling {name}")
        fetched: dict[str, int] = {}
        with waiting_task(self._progress, f"pull {name}") as task, translated(self._client.address):
            for answer in self._client.pull(name, stream=True, decode=True, platform=self._platform):
                if "error" in answer:
                    raise complaint(str(answer["error"]), self._client.address)
                task.advance(_more_of(answer, fetched))

    def _require_platform(self, image: EngineImage, asked: str) -> None:
        if image.platform.split("/")[:2] != self._platform.split("/")[:2]:
            raise EngineError(
                f"{asked} is for {image.platform}, the recipe for {self._platform}",
                where=self._client.address,
                remedy="take an image of the recipe's platform, or change `platform:`",
            )


def _more_of(answer: Mapping[str, Any], fetched: dict[str, int]) -> int:
    """The bytes that are news. The engine tells now and then how much it has of a layer, whose rest came by the time
    that it is unpacked.
    """
    amount = {"Downloading": "current", "Extracting": "total"}.get(str(answer.get("status")))
    if amount is None:
        return 0
    layer, here = str(answer.get("id")), int((answer.get("progressDetail") or {}).get(amount) or 0)
    before = fetched.get(layer, 0)
    fetched[layer] = max(before, here)
    return fetched[layer] - before


def _pulled_digest(image: EngineImage, reference: Reference) -> Digest | None:
    """The digest under which the image came from the registry of its name."""
    for entry in image.names:
        parsed = Reference.parse(entry)
        if parsed.digest is not None and parsed.name == reference.name:
            return parsed.digest
    return None
