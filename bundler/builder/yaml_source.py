"""YAML as plain values plus the line of each: what the readers of a recipe and of a lock share.

ruamel.yaml's round-trip loader is the one that keeps positions. Faults of the text itself (syntax, a key twice,
bytes that are not UTF-8) are raised as `YamlFault` with their line.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.scalarbool import ScalarBoolean

from bundler.core.errors import Problem

Location = tuple["str | int", ...]


class YamlFault(Exception):  # noqa: N818 -- a finding that the caller turns into its own RecipeError
    """The text is not YAML that can be read; ``problem`` says where and why."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


@dataclass(frozen=True)
class YamlSource:
    """A document as plain values (dict, tuple, str, int, float, bool, None) and the line of each location."""

    name: str
    document: object
    lines: dict[Location, int]

    def where(self, location: Sequence[str | int]) -> str:
        """``NAME:LINE`` of the value at ``location``, or of the nearest one around it that has a line."""
        for end in range(len(location), -1, -1):
            line = self.lines.get(tuple(location[:end]))
            if line is not None:
                return f"{self.name}:{line}"
        return self.name


def read_yaml(content: bytes, name: str) -> YamlSource:
    """Parse one YAML document; raises YamlFault for what is not UTF-8, not YAML, or names a key twice."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise YamlFault(Problem(f"{name}:{line}", "not UTF-8 text", "save the file as UTF-8 text")) from error
    try:
        node = YAML(typ="rt").load(text)
    except DuplicateKeyError as error:
        raise YamlFault(_duplicate(error, name)) from error
    except MarkedYAMLError as error:
        raise YamlFault(_marked(error, name)) from error
    except (YAMLError, ValueError, RecursionError) as error:
        first = str(error).strip().splitlines()[0]
        raise YamlFault(Problem(name, f"not YAML: {first}", "write plain UTF-8 YAML")) from error
    lines: dict[Location, int] = {(): 1}
    _collect(node, (), lines)
    return YamlSource(name, plain(node), lines)


def _marked(error: MarkedYAMLError, name: str) -> Problem:
    mark = error.problem_mark or error.context_mark
    where = f"{name}:{mark.line + 1}" if mark is not None else name
    return Problem(where, f"not YAML: {error.problem or error.context}", "check indentation, quotes and brackets")


def _duplicate(error: DuplicateKeyError, name: str) -> Problem:
    first = (error.problem or "a key occurs twice").splitlines()[0].split(" with value")[0]
    where = f"{name}:{error.problem_mark.line + 1}" if error.problem_mark is not None else name
    return Problem(where, f"{first}", "keep one of the two")


def _collect(node: object, at: Location, lines: dict[Location, int]) -> None:
    """Lines of keys and list items; ruamel keeps them in ``lc`` of each collection, counted from 0."""
    if isinstance(node, CommentedMap):
        for key, value in node.items():
            here = (*at, str(key))
            lines[here] = node.lc.key(key)[0] + 1 if key in (node.lc.data or {}) else lines[at]
            _collect(value, here, lines)
    elif isinstance(node, CommentedSeq):
        for index, value in enumerate(node):
            here = (*at, index)
            lines[here] = node.lc.item(index)[0] + 1
            _collect(value, here, lines)


def plain(node: object) -> object:
    """Plain Python values for a document: tuples for lists, text keys, no subclass of the loader's."""
    if isinstance(node, dict):
        return {str(key): plain(value) for key, value in node.items()}
    if isinstance(node, (list, tuple)):
        return tuple(plain(value) for value in node)
    return _plain_scalar(node)


def _plain_scalar(node: object) -> object:
    if isinstance(node, (bool, ScalarBoolean)):
        return bool(node)
    for kind in (str, int, float):
        if isinstance(node, kind):
            return kind(node)
    # YAML reads an unquoted 2024-05-01 as a date; the schema says that text was wanted.
    return node if node is None or isinstance(node, date) else str(node)
