"""Proof that an image stands as the bundle says, before anything has a name: ids, layers, and every model file."""

from __future__ import annotations

from bundler.core.bundle_manifest import BundledModel, BundleManifest
from bundler.core.digest import Digest
from bundler.core.errors import EngineError, Problem
from bundler.core.oci import Image
from bundler.installer.engine import Container, Engine

_REMEDY = "run the same command again; if it happens again, the engine's store is damaged: look into its log"


class ProofError(EngineError):
    """The engine took an image and does not show it as it was sent: what it took is not kept."""


def prove_image(image: Image, manifest: BundleManifest, engine: Engine) -> Digest:
    """The id that the engine holds ``image`` under; raises ProofError unless it is whole there.

    A container is created and not started: that the engine can make one from all layers is part of the proof.
    """
    image_id = engine.id_of(image)
    where = f"image {image.reference}"
    held = engine.find(image_id)
    if held is None:
        raise ProofError("the engine took the image and does not hold it", where=where, remedy=_REMEDY)
    if held.image_id != image_id or held.diff_ids != image.diff_ids:
        raise ProofError("the engine holds other layers than it was sent", where=where, remedy=_REMEDY)
    problems: list[Problem] = []
    with engine.created(image_id) as container:
        for model in models_of(image, manifest):
            problems += _missing_files(model, container)
    if problems:
        what = "the image does not show its model files as they were sent"
        raise ProofError(what, where=where, remedy=_REMEDY, problems=problems)
    return image_id


def models_of(image: Image, manifest: BundleManifest) -> tuple[BundledModel, ...]:
    """The models inside ``image``."""
    entry = next(entry for entry in manifest.images if entry.reference == image.reference)
    return tuple(manifest.model(name) for name in entry.models)


def _missing_files(model: BundledModel, container: Container) -> list[Problem]:
    problems: list[Problem] = []
    for file in model.files:
        path = f"{model.path}/{file.path}"
        found = container.stat(path)
        if found is None:
            problems.append(Problem(path, "is missing"))
        elif found.kind != "file":
            problems.append(Problem(path, f"is not a regular file ({found.kind})"))
        elif found.size != file.size:
            problems.append(Problem(path, f"has {found.size} bytes instead of {file.size}"))
    return problems
