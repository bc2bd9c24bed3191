"""The checks of a bundle, run against images by id, in containers without a network.

``models`` is derived from the lock and always there: every model file of every image, with its digest. The others are
the recipe's (`bundler.core.checks`), and whatever they show, they must try to reach nothing (``no_egress``).
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Callable

from bundler.core.bundle_manifest import BundledModel, BundleManifest
from bundler.core.check_result import NOT_PROVED, CheckResult, advice_on_places
from bundler.core.checks import AnyCheck, Check, GoldenCheck, LoadBudgetCheck, RunCheck, ServeCheck, kind_of
from bundler.core.digest import Digest
from bundler.core.errors import CheckError, Problem
from bundler.core.progress import Progress
from bundler.core.reference import Reference
from bundler.installer.checks.command import check_command
from bundler.installer.checks.golden import check_golden
from bundler.installer.checks.load_budget import check_load_budget
from bundler.installer.checks.models import check_models, held_image
from bundler.installer.checks.scene import Scene
from bundler.installer.checks.serve import check_service
from bundler.installer.egress.watch import watching
from bundler.installer.engine import Engine, NoGpuError, RunSpec
from bundler.installer.image_user import NOBODY, user_for_checks

#: No mounts and no variables: what installed images are checked with.
_ALONE = RunSpec((), 0.0)
_NO_FILES: Mapping[Reference, tuple[str, ...]] = {}
_RUNNERS: dict[type[Check], Callable[[Any, Scene], CheckResult]] = {
    RunCheck: check_command,
    ServeCheck: check_service,
    LoadBudgetCheck: check_load_budget,
    GoldenCheck: check_golden,
}


def run_checks(
    manifest: BundleManifest,
    image_ids: Mapping[Reference, Digest],
    engine: Engine,
    progress: Progress,
    *,
    where_in_code: bool = False,
) -> tuple[CheckResult, ...]:
    """The results of all checks, failed ones too; raises EngineError where one cannot be run at all.

    ``where_in_code`` as in `watching`.
    """
    results: list[CheckResult] = []
    for image in manifest.images:
        models = [manifest.model(name) for name in image.models]
        results += check_models(models, image.reference.familiar, image_ids[image.reference], engine, progress)
    commands = run_commands(
        manifest.checks,
        image_ids,
        engine,
        progress,
        model_paths=[model.path for model in manifest.models],
        model_files={image.reference: paths_of(map(manifest.model, image.models)) for image in manifest.images},
        where_in_code=where_in_code,
    )
    return (*results, *commands)


def paths_of(models: Iterable[BundledModel]) -> tuple[str, ...]:
    """The absolute paths of all files of models, in an image."""
    return tuple(f"{model.path}/{file.path}" for model in models for file in model.files)


def run_commands(
    checks: Iterable[AnyCheck],
    image_ids: Mapping[Reference, Digest],
    engine: Engine,
    progress: Progress,
    surroundings: RunSpec = _ALONE,
    *,
    model_paths: Sequence[str] = (),
    model_files: Mapping[Reference, tuple[str, ...]] = _NO_FILES,
    where_in_code: bool = False,
) -> tuple[CheckResult, ...]:
    """The results of the recipe's checks; ``surroundings`` gives mounts, and variables below the checks' own.

    ``model_paths`` are where models stand in the images, ``model_files`` the paths of model files in each: `paths_of`.

    Raises CheckError where it could not be proved that attempts to call out are seen: `watching`.
    """
    wanted = tuple(checks)
    if not wanted:
        return ()
    results = []
    with watching(engine, progress, model_paths, where_in_code=where_in_code) as watch:
        for check in wanted:
            progress.note(f"check {check.name}: {' '.join(check.run)[:100] or 'the command of its image'}")
            image_id, files = image_ids[check.image], model_files.get(check.image, ())
            around = replace(surroundings, user=user_for_checks(held_image(engine, image_id).config))
            results.append(_result(check, Scene(engine, watch, image_id, around, files)))
    return tuple(results)


def _result(check: AnyCheck, scene: Scene) -> CheckResult:
    """What the runner of its kind finds; where it needs a GPU and there is none, nothing was shown."""
    began = time.monotonic()
    try:
        result = _RUNNERS[type(check)](check, scene)
    except NoGpuError as error:
        detail = f"{NOT_PROVED}: {error.what}"
        return CheckResult(check.name, kind_of(check), False, detail, time.monotonic() - began, proved_here=False)
    if result.failed and check.user is None and scene.surroundings.user is not None:
        told = f"; it ran as {NOBODY}, for the image's user is root, and `user:` names another one"
        return replace(result, detail=result.detail + told)
    return result


def require_passed(results: tuple[CheckResult, ...], where: str) -> None:
    """Raise CheckError, with every check that failed, unless there is none."""
    failed = [Problem(f"check {result.name}", result.detail) for result in results if result.failed]
    if failed:
        remedy = "nothing was installed: report this to whoever built the bundle, with these lines"
        raise CheckError(
            f"{len(failed)} of {len(results)} checks failed",
            where=where,
            remedy="; ".join([remedy, *advice_on_places(results, "bundler install")]),
            problems=failed,
        )
