"""Reading the bytes of a lock: what is wrong is reported with its line, all problems at once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from bundler.builder.yaml_source import plain, read_yaml
from bundler.core.errors import Problem, RecipeError

_REMEDY = "restore recipe.lock from version control, or remove it and build again"
_Document = TypeVar("_Document", bound=BaseModel)


def parse_lock(content: bytes, path: Path, kind: type[_Document]) -> _Document:
    """Read ``content`` as ``kind``; raises RecipeError that lists every problem as ``recipe.lock:LINE``."""
    try:
        document = json.loads(content)
    except UnicodeDecodeError as error:
        raise _refused(path, [Problem(path.name, f"not UTF-8 text (byte {error.start})")]) from error
    except json.JSONDecodeError as error:
        raise _refused(path, [Problem(f"{path.name}:{error.lineno}", f"not JSON: {error.msg}")]) from error
    if isinstance(document, dict) and isinstance(document.get("format"), int) and document["format"] > 1:
        what = f"written by a newer bundler: format {document['format']}, this one reads format 1"
        raise RecipeError(what, where=str(path), remedy="use a newer bundler, or remove recipe.lock and build again")
    try:
        return kind.model_validate(plain(document))
    except ValidationError as error:
        raise _refused(path, _problems(content, path.name, error)) from error


def _problems(content: bytes, name: str, error: ValidationError) -> list[Problem]:
    # JSON is YAML: the slower reader, which knows the lines, is needed only for a lock that is wrong.
    source = read_yaml(content, name)
    found = []
    for each in error.errors(include_url=False):
        keys = ".".join(str(key) for key in each["loc"])
        found.append(Problem(source.where(each["loc"]), f"{keys or 'the lock'}: {each['msg']}"))
    return found


def _refused(path: Path, problems: list[Problem]) -> RecipeError:
    return RecipeError("the lock is malformed", where=str(path), remedy=_REMEDY, problems=problems)
