"""The engine's images against the models that will stand below them: looked through, cleared, or refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import BinaryIO, cast

from bundler.builder.conflicts import ImageAbove, ModelPlace, require_models_whole
from bundler.builder.engine_build.values import PRIVATE_DIRECTORY
from bundler.builder.engine_part import EnginePart
from bundler.builder.layer_filter import without_entries
from bundler.builder.layer_scan import LayerScan, parts_of, related, scan_layer
from bundler.builder.model_tree import ModelTree
from bundler.builder.stack import Stack, with_layers
from bundler.builder.staged_blobs import StagedBlob, StagedBlobs
from bundler.core.digest import Digest
from bundler.core.errors import BuildError, Problem
from bundler.core.progress import ObservedReader, Progress, Task
from bundler.core.readers import decompress


def keep_models_whole(
    part: EnginePart, models: Sequence[ModelTree], staged: StagedBlobs, progress: Progress
) -> EnginePart:
    """The engine's images, found to leave every model as it is; opaque markers that hide nothing are dropped.

    Raises BuildError with everything that would change or hide a model.
    """
    places = [ModelPlace(model.name, model.path) for model in models]
    paths = [*(place.path for place in places), PRIVATE_DIRECTORY]
    stacks = (part.base, *part.apps)
    scans = _scanned([part.packed[each] for each in _diff_ids(stacks)], paths, progress)
    images = [_above(stack, scans) for stack in stacks]
    _require_nothing_private(images)
    droppable = require_models_whole(places, images)
    if not droppable:
        return part
    replaced = {
        diff_id: _filtered(part.packed[diff_id], names, staged, progress) for diff_id, names in droppable.items()
    }
    layers = {diff_id: blob.compressed.layer("os") for diff_id, blob in replaced.items()}
    return replace(
        part,
        base=with_layers(part.base, layers),
        apps=tuple(with_layers(app, layers) for app in part.apps),
        packed={**part.packed, **{blob.diff_id: blob for blob in replaced.values()}},
    )


def _diff_ids(stacks: Sequence[Stack]) -> dict[Digest, None]:
    """Every layer once, from the lowest."""
    return dict.fromkeys(layer.diff_id for stack in stacks for layer in stack.layers)


def _scanned(
    blobs: Sequence[StagedBlob], paths: Sequence[PurePosixPath], progress: Progress
) -> dict[Digest, LayerScan]:
    with progress.task("look into the layers", sum(blob.compressed.uncompressed_size for blob in blobs)) as task:
        return {blob.diff_id: _scan(blob, paths, task) for blob in blobs}


def _scan(blob: StagedBlob, paths: Sequence[PurePosixPath], task: Task) -> LayerScan:
    with _plain(blob) as stream:
        return scan_layer(cast("BinaryIO", ObservedReader(stream, task)), paths, str(blob.diff_id))


def _require_nothing_private(images: Sequence[ImageAbove]) -> None:
    """What only the build may see (a company's CA) was dropped with its own layers; a copy of it must not travel."""
    private = parts_of(PRIVATE_DIRECTORY)
    found = {
        (step.told, touch.name): image.name
        for image in reversed(images)  # the base comes first, and what it brought is its own fault
        for step, scan in image.layers
        for touch in scan.touches
        if related(touch.path, private) and touch.path
    }
    problems = [
        Problem(f"{image}, {told}", f"carries {name}, which only the build may see")
        for (told, name), image in found.items()
    ]
    if problems:
        raise BuildError(
            "an image carries what bundler gave to the build alone",
            where=problems[0].where,
            remedy="copy single directories from other stages, not the whole of `/`",
            problems=problems[:20],
        )


def _plain(blob: StagedBlob) -> BinaryIO:
    return decompress(blob.compressed.blob.media_type, blob.path.open("rb"), str(blob.path))


def _above(stack: Stack, scans: Mapping[Digest, LayerScan]) -> ImageAbove:
    steps = [(step, scans[step.layer.diff_id]) for step in stack.steps if step.layer is not None]
    return ImageAbove(stack.name, stack.config, tuple(steps))


def _filtered(blob: StagedBlob, names: frozenset[str], staged: StagedBlobs, progress: Progress) -> StagedBlob:
    label, size = f"pack the layer {blob.diff_id} without its opaque markers", blob.compressed.uncompressed_size
    with _plain(blob) as stream, progress.task(label, size) as task:
        kept = without_entries(cast("BinaryIO", ObservedReader(stream, task)), names, str(blob.diff_id))
        return staged.pack(kept, None)
