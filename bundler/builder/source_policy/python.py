"""Python sources: what a module loads, fetches, sets and starts, read from its syntax tree."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator

from bundler.builder.source_policy.bindings import Binding, Module
from bundler.builder.source_policy.environment import Surroundings
from bundler.builder.source_policy.evaluation import Evaluator
from bundler.builder.source_policy.findings import Spot
from bundler.builder.source_policy.project import Project
from bundler.builder.source_policy.python_fetches import fetch_spots
from bundler.builder.source_policy.python_loaders import LoaderRules
from bundler.builder.source_policy.python_process import address_spots, process_spots, set_variables, variable_spots
from bundler.builder.source_policy.rules import FALLBACK, NOT_READ
from bundler.builder.source_policy.values import HOLE, is_absolute

_PATHLIKE = re.compile(
    r"(?:.*(?:model|weights?|checkpoint|tokenizer|encoder|rerank|embed)\w*_|local_|hf_)(?:path|dir|folder)", re.I
)
_NAMELIKE = re.compile(
    r"(?:\w*_)?(?:model_?(?:name|id|repo)|repo_?id|hub_?(?:name|id|repo)|hf_?(?:name|id|repo|model))", re.I
)


class PythonFault(Exception):  # noqa: N818 -- a finding that the caller turns into its own
    """The text is not Python that this interpreter reads; ``line`` and ``column`` count from 1."""

    def __init__(self, line: int, column: int, what: str) -> None:
        super().__init__(what)
        self.spot = Spot(NOT_READ, line, column, f"not Python that can be read: {what}")


def read_module(source: str | bytes, parts: tuple[str, ...] = ()) -> Module:
    """Parse a module; ``parts`` is its dotted name. Raises PythonFault."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # escapes in other people's strings
            return Module(ast.parse(source), parts)
    except SyntaxError as error:
        raise PythonFault(error.lineno or 1, max(error.offset or 1, 1), error.msg) from error
    except (ValueError, RecursionError, MemoryError) as error:
        raise PythonFault(1, 1, str(error) or type(error).__name__) from error


def python_spots(source: str | bytes, surroundings: Surroundings) -> Iterator[Spot]:
    """Everything that is found in a text by itself."""
    try:
        module = read_module(source)
    except PythonFault as fault:
        yield fault.spot
        return
    yield from module_spots(module, surroundings, Project())


def module_spots(module: Module, surroundings: Surroundings, project: Project) -> Iterator[Spot]:
    """Everything that is found in a module."""
    known = Evaluator(module, project)
    set_here = frozenset(name for name, _, value in set_variables(known) if value is not None)
    try:
        yield from LoaderRules(known, surroundings, set_here).spots()
        yield from _renamed_paths(known)
        yield from fetch_spots(known, surroundings, set_here)
        yield from process_spots(known)
        yield from variable_spots(known)
        yield from address_spots(known)
    except RecursionError:
        yield Spot(NOT_READ, 1, 1, "too deeply nested to be followed")


def _renamed_paths(known: Evaluator) -> Iterator[Spot]:
    """``model_path = MODEL_NAME``: a path becomes a name, wherever it is loaded."""
    for node in known.module.nodes:
        for target in node.targets if isinstance(node, ast.Assign) else ():
            name = _last(target)
            if (
                isinstance(node, ast.Assign)
                and name
                and _PATHLIKE.fullmatch(name)
                and _is_name(node.value, name, known)
            ):
                what = f"{name} becomes {ast.unparse(node.value)}, the name of a model"
                yield Spot(FALLBACK, node.value.lineno, node.value.col_offset + 1, what)


def _is_name(value: ast.expr, target: str, known: Evaluator) -> bool:
    source = _last(value)
    texts = known.texts(value)
    if any(is_absolute(text) for text in texts):
        return False
    if source is not None and _NAMELIKE.fullmatch(source):
        return True
    literal = isinstance(value, ast.Constant) and any(each.is_repo for each in known.values(value))
    return literal and "/" in texts[0] and any(is_absolute(text) for text in _others(value, target, known))


def _others(value: ast.expr, target: str, known: Evaluator) -> Iterator[str]:
    """What else the same name is bound to, in the same function or class."""
    module = known.module
    owner = module.class_of(value)
    bindings: list[Binding] = module.bound(target, value) + (module.members(owner, target) if owner else [])
    for each in bindings:
        if each.kind == "value" and each.expr is not None and each.expr is not value:
            yield from (text for text in known.texts(each.expr) if text != HOLE)


def _last(expr: ast.expr) -> str | None:
    """The last part of a name."""
    if isinstance(expr, ast.Attribute):
        return expr.attr
    return expr.id if isinstance(expr, ast.Name) else None
