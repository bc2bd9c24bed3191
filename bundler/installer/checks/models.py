"""``models``: every file of a model stands in the image, with the digest that the lock gave it."""

from __future__ import annotations

import time

from bundler.core.bundle_manifest import BundledModel
from bundler.core.check_result import CheckResult
from bundler.core.digest import Digest
from bundler.core.progress import Progress
from bundler.installer.engine import Engine
from bundler.installer.model_files import compare_model

_SHOWN_FILES = 5


def check_model(model: BundledModel, where: str, image_id: Digest, engine: Engine, progress: Progress) -> CheckResult:
    """Read the files out of a container that is not started; ``where`` is the image for people."""
    started = time.monotonic()
    size = sum(file.size for file in model.files)
    with progress.task(f"check {model.name} in {where}", size) as task, engine.created(image_id) as container:
        differences = compare_model(container, model, task)
    seconds = time.monotonic() - started
    if not differences:
        detail = f"{len(model.files)} files have their locked sha256"
    else:
        detail = "; ".join(f"{item.path} {item.what}" for item in differences[:_SHOWN_FILES])
        if len(differences) > _SHOWN_FILES:
            detail += f"; and {len(differences) - _SHOWN_FILES} more"
    return CheckResult(f"{model.name} in {where}", "models", not differences, detail, seconds)
