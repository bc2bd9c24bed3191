"""The engine's part of a build: the operating system and the applications, their prepared outputs, images of others.

Everything comes back as values and files: images taken apart, without what only the build needed, and their packed
layers. Nothing of it stays in the engine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import BinaryIO, cast

from bundler.builder.beside import OutsideWorld, TakenImage
from bundler.builder.cache import Cache
from bundler.builder.images import BuildSession, BuiltImage, ExportedImage, request_of
from bundler.builder.layer import layer_chunks, with_parents
from bundler.builder.lock import Lock
from bundler.builder.model_tree import ModelTree
from bundler.builder.prepare import Preparation, prepare
from bundler.builder.recipe import ImageBase, Recipe
from bundler.builder.space import Need, require_space
from bundler.builder.stack import Stack, take_apart, without_private
from bundler.builder.staged_blobs import StagedBlob
from bundler.core.digest import Digest
from bundler.core.progress import Progress
from bundler.core.quiet_environment import QUIET
from bundler.core.readers import ChunkReader
from bundler.core.reference import Reference

#: How much of an operating system's plain bytes to have room for when it is packed. Debian's ``/usr`` takes a third
#: (docs/adr/0001), and nobody knows before; what packs worse and does not fit is told when it is written.
PACKED_SHARE = 0.5

#: Called with the images as the engine built them, by their names and with the ids that the engine knows.
Trial = Callable[[Mapping[Reference, str]], None]


@dataclass(frozen=True)
class EnginePart:
    """What the engine gave. ``apps`` are in the recipe's order; ``packed`` has every packed layer by diff_id."""

    base: Stack
    apps: tuple[Stack, ...]
    derived: StagedBlob | None
    others: tuple[TakenImage, ...]
    packed: Mapping[Digest, StagedBlob]


def build_images(
    recipe: Recipe,
    lock: Lock,
    trees: Sequence[ModelTree],
    world: OutsideWorld,
    cache: Cache,
    trial: Trial,
    progress: Progress,
) -> EnginePart:
    """Build everything that the recipe has Dockerfiles for, and export it in one save.

    Raises BuildError, EngineError or PreconditionError; the engine holds nothing of it afterwards, in any case.
    """
    with world.engine.session(PurePosixPath(tree.path) for tree in trees) as session:
        base = _base(recipe, lock, session, world)
        options = world.engine.options
        apps = [
            session.build(request_of(recipe, spec, options), lock.images or (), {recipe.base.tag: base})
            for spec in recipe.apps
        ]
        built = [base, *apps]
        names = [recipe.base.tag, *(spec.tag for spec in recipe.apps)]
        trial({name: image.image_id for name, image in zip(names, built, strict=True)})
        derived = _derive(recipe, base, trees, session, world, cache, progress)
        size = int(session.size_to_pack(base, apps, world.layers) * PACKED_SHARE)
        require_space([Need(cache.layers, size, "layers to be packed")])
        exported = session.export(built, world.layers)
        others = world.take(session, lock)
    triples = zip(names, exported, built, strict=True)
    stacks = [_apart(name, image, made) for name, image, made in triples]
    packed = {blob.diff_id: blob for image in exported for blob in image.layers}
    return EnginePart(stacks[0], tuple(stacks[1:]), derived, others, packed)


def _base(recipe: Recipe, lock: Lock, session: BuildSession, world: OutsideWorld) -> BuiltImage:
    if not isinstance(recipe.base, ImageBase):
        return session.build(request_of(recipe, recipe.base, world.engine.options), lock.images or (), {})
    locked = next(image for image in lock.images or () if (image.role, image.asked) == ("from", recipe.base.image))
    return session.outside(locked)


def _derive(
    recipe: Recipe,
    base: BuiltImage,
    trees: Sequence[ModelTree],
    session: BuildSession,
    world: OutsideWorld,
    cache: Cache,
    progress: Progress,
) -> StagedBlob | None:
    """The outputs of ``prepare:`` as a packed layer; None where the recipe has no commands."""
    environment = {**recipe.environment, **QUIET}
    wanted = Preparation(recipe.prepare, base, tuple(trees), environment, session.token)
    prepared = prepare(world.engine.client, wanted, cache.prepared, progress)
    if not prepared.entries:
        return None
    size = sum(entry.size for entry in prepared.entries)
    with (
        progress.task("pack the outputs of prepare", size) as task,
        ChunkReader(layer_chunks(with_parents(prepared.entries), task.advance)) as stream,
    ):
        return world.layers.store(cast("BinaryIO", stream))


def _apart(name: Reference, exported: ExportedImage[StagedBlob], built: BuiltImage) -> Stack:
    layers = [blob.compressed.layer("os") for blob in exported.layers]
    return without_private(take_apart(name.familiar, exported.config, layers), built.private)
