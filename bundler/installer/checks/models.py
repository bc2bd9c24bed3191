"""``models``: every file of a model stands in the image, with the digest that the lock gave it, for its user to read."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath

from bundler.core.bundle_manifest import BundledModel
from bundler.core.check_result import CheckResult
from bundler.core.digest import Digest
from bundler.core.errors import EngineError
from bundler.core.progress import Progress, Task
from bundler.installer.engine import Container, Engine, HeldImage
from bundler.installer.image_user import closed_parents, image_user
from bundler.installer.model_files import compare_model

_SHOWN_FILES = 5


def check_models(
    models: Iterable[BundledModel], where: str, image_id: Digest, engine: Engine, progress: Progress
) -> tuple[CheckResult, ...]:
    """The results for the models of one image; ``where`` is the image for people."""
    image = held_image(engine, image_id)
    return tuple(_check(model, where, image, engine, progress) for model in models)


def held_image(engine: Engine, image_id: Digest) -> HeldImage:
    """The image that checks run in; raises EngineError where it is gone."""
    image = engine.find(image_id)
    if image is None:
        raise EngineError(
            "the engine does not hold an image any more that was there a moment ago",
            where=str(image_id),
            remedy="something removed it meanwhile: run the same command again",
        )
    return image


def _check(model: BundledModel, where: str, image: HeldImage, engine: Engine, progress: Progress) -> CheckResult:
    """Read the files out of a container that is not started."""
    started = time.monotonic()
    size = sum(file.size for file in model.files)
    with progress.task(f"check {model.name} in {where}", size) as task, engine.created(image.image_id) as container:
        faults = [*_mounts(model, image), *_differences(model, image, container, task)]
    seconds = time.monotonic() - started
    detail = "; ".join(faults[:_SHOWN_FILES]) if faults else f"{len(model.files)} files have their locked sha256"
    if len(faults) > _SHOWN_FILES:
        detail += f"; and {len(faults) - _SHOWN_FILES} more"
    return CheckResult(f"{model.name} in {where}", "models", not faults, detail, seconds)


def _mounts(model: BundledModel, image: HeldImage) -> Iterator[str]:
    """Volumes of the image that a container would have in the model's place."""
    path = PurePosixPath(model.path)
    for text in image.config.volumes:
        volume = PurePosixPath(text)
        if volume in {path, *path.parents} or path in volume.parents:
            yield f"the image makes a volume at {volume}, over what stands at {path}"


def _differences(model: BundledModel, image: HeldImage, container: Container, task: Task) -> Iterator[str]:
    user = image_user(container, image.config.user)
    if user is None:
        yield f"the image runs as {image.config.user!r}, whom it does not know"
    for item in compare_model(container, model, task, user):
        yield f"{item.path} {item.what}"
    if user is not None:
        for parent in closed_parents(container, model.path, user):
            yield f"{parent} cannot be passed by the image's user, {user.told}"
