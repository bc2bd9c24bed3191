"""The images of others that a recipe names, each taken from where the recipe says, once a build."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bundler.builder.agreement import AskedImage
from bundler.builder.foreign import ForeignImage, Wanted, from_docker_archive, from_layout, from_registry, image_over
from bundler.builder.images import BuildEngine, BuildSession
from bundler.builder.lock import Lock, LockedImage
from bundler.builder.recipe import ImageSpec, Recipe
from bundler.builder.staged_blobs import EngineLayers, StagedBlob
from bundler.core.digest import Digest
from bundler.core.oci import Image, Layer
from bundler.core.progress import Progress
from bundler.core.registry import Registry, stored_credentials


@dataclass(frozen=True)
class TakenImage:
    """An image of others: as a value, what identifies it at its source, and a file for each blob of a layer.

    ``manifest`` is ``source`` where it was kept, ``ours`` where the source has none to keep.
    """

    image: Image
    locked: LockedImage
    blobs: Mapping[Digest, Path]
    manifest: str


@dataclass
class OutsideWorld:
    """Everything that says what an image from outside is; ``blobs`` is where layers of registries are kept."""

    recipe: Recipe
    engine: BuildEngine
    layers: EngineLayers
    blobs: Path
    ca_bundle: Path | None
    progress: Progress
    _taken: dict[str, TakenImage] = field(default_factory=dict)

    def resolve_image(self, asked: AskedImage) -> LockedImage:
        """What identifies an image that the recipe asks for, by its ``FROM`` or below ``images:``."""
        if asked.role == "from":
            return self.engine.resolve_from(asked.asked, None)
        spec = next(spec for spec in self.recipe.images if spec.image == asked.asked)
        if spec.source == "engine":
            return self.engine.resolve_image(asked.asked, None)
        return self._fetch(spec, None).locked

    def take(self, session: BuildSession, lock: Lock) -> tuple[TakenImage, ...]:
        """Every image below ``images:``, as it is locked."""
        return tuple(self._take(spec, session, lock) for spec in self.recipe.images)

    def _take(self, spec: ImageSpec, session: BuildSession, lock: Lock) -> TakenImage:
        locked = lock.image_asked("image", spec.image)
        if spec.source == "engine" and locked is not None:
            (exported,) = session.export([session.outside(locked)], self.layers)
            return _over(image_over(exported, spec.name, _foreign_layer), locked, exported.layers)
        return self._taken.get(spec.image) or self._fetch(spec, locked)

    def _fetch(self, spec: ImageSpec, locked: LockedImage | None) -> TakenImage:
        wanted = Wanted(spec.image, spec.name, self.recipe.platform)
        if spec.source == "registry":
            ca_bundle = str(self.ca_bundle) if self.ca_bundle else None
            host = spec.reference.host
            with Registry(host, credentials=stored_credentials(host), ca_bundle=ca_bundle) as registry:
                taken = _as_it_is(from_registry(registry, wanted, locked, self.blobs, self.progress))
        elif spec.source == "oci-layout":
            path = self.recipe.path_of(str(spec.path))
            taken = _as_it_is(from_layout(path, wanted, locked, self.blobs, self.progress))
        else:
            path = self.recipe.path_of(str(spec.path))
            exported, found = from_docker_archive(path, wanted, locked, self.layers, self.progress)
            taken = _over(image_over(exported, spec.name, _foreign_layer), found, exported.layers)
        self._taken[spec.image] = taken
        return taken


def _as_it_is(found: ForeignImage) -> TakenImage:
    return TakenImage(found.image, found.locked, found.blobs, "source")


def _over(image: Image, locked: LockedImage, layers: tuple[StagedBlob, ...]) -> TakenImage:
    return TakenImage(image, locked, {blob.compressed.blob.digest: blob.path for blob in layers}, "ours")


def _foreign_layer(blob: StagedBlob) -> Layer:
    return blob.compressed.layer("foreign")
