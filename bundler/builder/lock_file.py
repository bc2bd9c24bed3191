"""Reading the bytes of a lock: what is wrong is reported with its line, all problems at once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from bundler.builder.yaml_source import YamlFault, YamlSource, plain, read_yaml
from bundler.core.errors import Problem, RecipeError

_REMEDY = "restore recipe.lock from version control, or remove it and build again"
_Document = TypeVar("_Document", bound=BaseModel)


def parse_lock(content: bytes, path: Path, kind: type[_Document]) -> _Document:
    """Read ``content`` as ``kind``; raises RecipeError that lists every problem as ``recipe.lock:LINE``."""
    try:
        document = json.loads(content, object_pairs_hook=_keys_once)
    except UnicodeDecodeError as error:
        raise _refused(path, [Problem(path.name, f"not UTF-8 text (byte {error.start})")]) from error
    except json.JSONDecodeError as error:
        raise _refused(path, [Problem(f"{path.name}:{error.lineno}", f"not JSON: {error.msg}")]) from error
    except _KeyTwice as error:
        raise _refused(path, [Problem(_place_of(content, path.name), str(error))]) from error
    except (ValueError, RecursionError) as error:  # numbers of thousands of digits, lists in lists without an end
        raise _refused(path, [Problem(path.name, f"not a lock: {error}")]) from error
    if isinstance(document, dict) and isinstance(document.get("format"), int) and document["format"] > 1:
        what = f"written by a newer bundler: format {document['format']}, this one reads format 1"
        raise RecipeError(what, where=str(path), remedy="use a newer bundler, or remove recipe.lock and build again")
    try:
        return kind.model_validate(plain(document))
    except RecursionError as error:
        raise _refused(path, [Problem(path.name, f"not a lock: {error}")]) from error
    except ValidationError as error:
        raise _refused(path, _problems(_source(content, path.name, document), error)) from error


class _KeyTwice(Exception):  # noqa: N818 -- leaves the reader of JSON, not this module
    """A key stands twice in one object; JSON's reader would take the last in silence."""


def _keys_once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found: dict[str, object] = {}
    for key, value in pairs:
        if key in found:
            raise _KeyTwice(f"the key {key!r} stands twice in one object")
        found[key] = value
    return found


def _place_of(content: bytes, name: str) -> str:
    """The line at which the YAML reader, which refuses double keys too, stops."""
    try:
        read_yaml(content, name)
    except YamlFault as fault:
        return fault.problem.where
    return name


def _source(content: bytes, name: str, document: object) -> YamlSource:
    """JSON is YAML: the slower reader, which knows the lines, is needed only for a lock that is wrong."""
    try:
        return read_yaml(content, name)
    except YamlFault:  # JSON that is not YAML, such as one indented with tabs: known values, unknown lines
        return YamlSource(name, document, {})


def _problems(source: YamlSource, error: ValidationError) -> list[Problem]:
    found = []
    for each in error.errors(include_url=False):
        keys = ".".join(str(key) for key in each["loc"])
        found.append(Problem(source.where(each["loc"]), f"{keys or 'the lock'}: {each['msg']}"))
    return found


def _refused(path: Path, problems: list[Problem]) -> RecipeError:
    return RecipeError("the lock is malformed", where=str(path), remedy=_REMEDY, problems=problems)
