"""The checks of a bundle, run against images by id, in containers without a network.

``models`` is derived from the lock and always there: every model file of every image, with its digest. ``run`` checks
are the recipe's: a command that must end well and in time, print what is expected and nothing that is forbidden, and
try to reach nothing (``no_egress``, for each of them).
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping
from typing import Optional

from bundler.core.bundle_manifest import BundledModel, BundleManifest, RunCheck
from bundler.core.check_result import CheckResult
from bundler.core.digest import Digest
from bundler.core.errors import BundleError, CheckError, Problem
from bundler.core.progress import Progress
from bundler.core.reference import Reference
from bundler.installer.egress.watch import Watch, watching
from bundler.installer.engine import Engine, RunResult, RunSpec
from bundler.installer.model_files import compare_model

#: No mounts and no variables: what installed images are checked with.
_ALONE = RunSpec((), 0.0)
_SHOWN_FILES = 5
_SHOWN_OUTPUT = 400


def run_checks(
    manifest: BundleManifest, image_ids: Mapping[Reference, Digest], engine: Engine, progress: Progress
) -> tuple[CheckResult, ...]:
    """The results of all checks, failed ones too; raises EngineError where one cannot be run at all."""
    results = []
    for image in manifest.images:
        for name in image.models:
            where = image.reference.familiar
            results.append(_check_model(manifest.model(name), where, image_ids[image.reference], engine, progress))
    return (*results, *run_commands(manifest.checks, image_ids, engine, progress))


def run_commands(
    checks: Iterable[RunCheck],
    image_ids: Mapping[Reference, Digest],
    engine: Engine,
    progress: Progress,
    surroundings: RunSpec = _ALONE,
) -> tuple[CheckResult, ...]:
    """The results of ``run`` checks; ``surroundings`` gives mounts, and variables below the checks' own.

    Raises CheckError where it could not be proved that attempts to call out are seen: `watching`.
    """
    wanted = tuple(checks)
    if not wanted:
        return ()
    results = []
    with watching(engine, progress) as watch:
        for check in wanted:
            progress.note(f"check {check.name}: {' '.join(check.run)[:100]}")
            results.append(_run(check, image_ids[check.image], watch, surroundings))
    return tuple(results)


def require_passed(results: tuple[CheckResult, ...], where: str) -> None:
    """Raise CheckError, with every check that failed, unless all passed."""
    failed = [Problem(f"check {result.name}", result.detail) for result in results if not result.passed]
    if failed:
        raise CheckError(
            f"{len(failed)} of {len(results)} checks failed",
            where=where,
            remedy="nothing was installed: report this to whoever built the bundle, with these lines",
            problems=failed,
        )


def compile_patterns(check: RunCheck) -> tuple[list[re.Pattern[str]], list[re.Pattern[str]]]:
    """What the output must hold and must not; ``^`` and ``$`` match at lines. Raises BundleError for no pattern."""
    compiled = []
    for patterns in (check.expect, check.forbid):
        try:
            compiled.append([re.compile(pattern, re.MULTILINE) for pattern in patterns])
        except (re.error, OverflowError, RecursionError) as error:
            raise BundleError(
                f"a pattern of the check is not a regular expression: {error}",
                where=f"bundle.json, check {check.name}",
                remedy="report this to whoever built the bundle: it cannot be checked, so it is not installed",
            ) from error
    return compiled[0], compiled[1]


def _check_model(model: BundledModel, where: str, image_id: Digest, engine: Engine, progress: Progress) -> CheckResult:
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


def _run(check: RunCheck, image_id: Digest, watch: Watch, surroundings: RunSpec) -> CheckResult:
    expected, forbidden = compile_patterns(check)
    env = {**surroundings.env, **check.env}
    spec = RunSpec(check.run, check.within_s, check.user, env, surroundings.mounts)
    result, no_egress = watch.run(image_id, spec)
    faults = _faults(result, check.within_s, expected, forbidden)
    faults += [no_egress.told] if no_egress.attempts else []
    detail = "; ".join(faults) + _output_of(result) if faults else "as expected"
    return CheckResult(check.name, "run", not faults, detail, result.seconds, no_egress)


def _faults(
    result: RunResult, within_s: float, expected: list[re.Pattern[str]], forbidden: list[re.Pattern[str]]
) -> list[str]:
    if result.exit_code is None:
        return [f"did not end within {within_s:g} s"]
    faults = [] if result.exit_code == 0 else [f"ended with code {result.exit_code}"]
    faults += [f"printed nothing like {item.pattern!r}" for item in expected if not item.search(result.output)]
    matches = [(item, item.search(result.output)) for item in forbidden]
    return faults + [_forbidden(item, match) for item, match in matches if match]


def _forbidden(pattern: re.Pattern[str], match: Optional[re.Match[str]]) -> str:
    return f"printed {match[0][:80]!r}, which {pattern.pattern!r} forbids" if match else ""


def _output_of(result: RunResult) -> str:
    text = " ".join(result.output.split())
    return f"; it printed: {text[-_SHOWN_OUTPUT:]}" if text else "; it printed nothing"
