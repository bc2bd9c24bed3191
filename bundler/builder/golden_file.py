"""A file of recorded outputs, ``golden:`` in a recipe: what an independent reference made of inputs.

JSON: ``model`` (a name of the recipe's); ``commit`` of it, or ``files`` with the sha256 of some of its files by their
paths, or both; ``reference`` (who recorded and how, for people); ``inputs`` and ``outputs`` (lists of JSON values, in
pairs). Format: ``docs/checks.md``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from bundler.builder.lock import Lock, LockedModel
from bundler.builder.recipe import Recipe
from bundler.builder.recipe_checks import GoldenSpec
from bundler.core.check_format import parse_golden
from bundler.core.checks import Golden
from bundler.core.errors import BundleError, Problem, RecipeError
from bundler.core.json_fields import Fields
from bundler.core.oci import parse_object

#: Outputs come back in what a command printed last, of which 1 MiB is kept, each twice, and with more digits than were
#: recorded.
MAX_OUTPUTS_SIZE = 192 << 10
MAX_FILE_SIZE = 4 << 20
_FORM = "record them again, in the form of docs/checks.md"


def read_golden(path: Path) -> Golden:
    """The file as a value; raises RecipeError where it is not as described, or where it shows too little."""
    try:
        if path.stat().st_size > MAX_FILE_SIZE:
            raise _refused(path, f"it is larger than {MAX_FILE_SIZE:,} bytes")
        golden = parse_golden(Fields(parse_object(path.read_bytes(), str(path)), str(path)))
    except FileNotFoundError as error:
        remedy = "record them of the model that `bundler fetch` brings, by an independent reference: docs/checks.md"
        raise RecipeError("nothing was recorded yet", where=str(path), remedy=remedy) from error
    except OSError as error:
        raise _refused(path, f"the file cannot be read: {error.strerror}") from error
    except BundleError as error:
        raise _refused(path, error.what) from error
    if len(golden.inputs) < 2:
        raise _refused(path, "inputs: one alone is never padded; record two or more, of different lengths")
    size = len(json.dumps(golden.outputs, separators=(",", ":")))
    if size > MAX_OUTPUTS_SIZE:
        raise _refused(path, f"outputs: {size:,} bytes; what a command prints may hold {MAX_OUTPUTS_SIZE:,}")
    return golden


def require_recorded_of(recipe: Recipe, lock: Lock) -> None:
    """Raise RecipeError where outputs were not recorded, or of another model than the lock has.

    A digest that the lock does not know yet is compared when the files are there.
    """
    problems = [problem for index, _ in enumerate(recipe.checks) for problem in _strangers(recipe, index, lock)]
    if problems:
        raise RecipeError(
            "recorded outputs are not there, or not of the model in the lock",
            where=str(recipe.file),
            remedy="record them again, of this model and by an independent reference: docs/checks.md",
            problems=problems,
        )


def _strangers(recipe: Recipe, index: int, lock: Lock) -> Iterator[Problem]:
    check = recipe.checks[index]
    if not isinstance(check, GoldenSpec):
        return
    where = recipe.where("checks", index, "golden")
    try:
        golden = read_golden(recipe.path_of(check.golden))
    except RecipeError as error:
        yield Problem(where, f"{check.golden}: {error.what}", error.remedy)
        return
    model = lock.model_named(golden.model)
    differences = _differences(golden, model) if model else [f"there is no model {golden.model!r} in the lock"]
    for what in differences:
        yield Problem(where, f"{check.golden}: {what}", "record it again, or take the model that it was recorded of")


def _differences(golden: Golden, model: LockedModel) -> Iterator[str]:
    if golden.commit and golden.commit != model.commit:
        yield f"recorded for commit {golden.commit} of {model.name}, the lock has {model.commit or 'none'}"
    files = {file.path: file for file in model.files}
    for path, sha256 in sorted(golden.files.items()):
        if path not in files:
            yield f"recorded of a file {path!r}, which {model.name} does not have in the lock"
        elif files[path].sha256 not in {None, sha256}:
            yield f"recorded of {path} with sha256 {sha256}, {model.name} in the lock has {files[path].sha256}"


def _refused(path: Path, why: str) -> RecipeError:
    return RecipeError(f"the recorded outputs are not usable: {why}", where=str(path), remedy=_FORM)
