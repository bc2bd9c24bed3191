"""A file of recorded outputs, ``golden:`` in a recipe: what an independent reference made of inputs.

JSON: ``model`` (a name of the recipe's), ``commit`` (of the model; null where it has none), ``reference`` (who recorded
and how, for people), ``inputs`` and ``outputs`` (lists of JSON values, in pairs). Format: ``docs/checks.md``.
"""

from __future__ import annotations

import json
from pathlib import Path

from bundler.core.checks import Golden
from bundler.core.errors import BundleError, RecipeError
from bundler.core.json_fields import Fields
from bundler.core.oci import parse_object

#: Inputs travel as one argument of a command: of at most 128 KiB in Linux (execve(2), MAX_ARG_STRLEN), each twice.
MAX_INPUTS_SIZE = 48 << 10
MAX_FILE_SIZE = 16 << 20


def read_golden(path: Path) -> Golden:
    """The file as a value; raises RecipeError where it is not as described."""
    try:
        if path.stat().st_size > MAX_FILE_SIZE:
            raise _refused(path, f"is larger than {MAX_FILE_SIZE:,} bytes")
        golden = _parse(Fields(parse_object(path.read_bytes(), str(path)), str(path)))
    except OSError as error:
        raise _refused(path, f"cannot be read: {error.strerror}") from error
    except BundleError as error:
        raise _refused(path, error.what) from error
    if not golden.inputs or len(golden.inputs) != len(golden.outputs):
        raise _refused(path, f"has {len(golden.inputs)} inputs and {len(golden.outputs)} outputs")
    if len(json.dumps(golden.inputs)) > MAX_INPUTS_SIZE:
        raise _refused(path, f"has inputs of more than {MAX_INPUTS_SIZE:,} bytes")
    return golden


def _parse(fields: Fields) -> Golden:
    return Golden(
        model=fields.text("model"),
        commit=fields.optional_text("commit"),
        reference=fields.text("reference"),
        inputs=tuple(fields.values("inputs")),
        outputs=tuple(fields.values("outputs")),
    )


def _refused(path: Path, why: str) -> RecipeError:
    return RecipeError(
        f"the recorded outputs are not usable: the file {why}",
        where=str(path),
        remedy="record them again, in the form of docs/checks.md",
    )
