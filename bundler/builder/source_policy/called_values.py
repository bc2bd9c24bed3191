"""What calls give, as far as it is known without running them: variables of the environment, paths, own functions."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from bundler.builder.source_policy.bindings import Function
from bundler.builder.source_policy.names import dotted, own_class
from bundler.builder.source_policy.text_values import combinations
from bundler.builder.source_policy.values import HOLE, Value, as_path, join_paths, made_absolute, unknown

if TYPE_CHECKING:
    from bundler.builder.source_policy.evaluation import Evaluator

_SAME: Callable[[str], str] = str
_PATHS = ("pathlib.Path", "pathlib.PurePath", "pathlib.PurePosixPath", "pathlib.PosixPath")
#: Functions of one text, by what they make of it.
_FUNCTIONS: dict[str, Callable[[str], str]] = {
    "str": _SAME,
    "os.fspath": _SAME,
    "os.fsdecode": _SAME,
    "typing.cast": _SAME,
    "os.path.expandvars": _SAME,
    "os.path.normpath": as_path,
    "os.path.expanduser": _SAME,
    "os.path.abspath": made_absolute,
    "os.path.realpath": made_absolute,
    "os.path.dirname": lambda text: text.rpartition("/")[0] or "/" if text.startswith("/") else HOLE,
}
#: Methods of texts and paths that give something like what they are called on.
_METHODS: dict[str, Callable[[str], str]] = {
    "strip": str.strip,
    "rstrip": lambda text: text.rstrip("/ "),
    "lower": str.lower,
    "as_posix": _SAME,
    "resolve": made_absolute,
    "absolute": made_absolute,
    "expanduser": _SAME,
}
#: Where a default stands in calls that describe a field or an option.
_DESCRIPTIONS = ("Field", "field", "Option", "Argument", "Query", "Form")


def value_of_call(call: ast.Call, known: Evaluator) -> Iterator[Value]:
    """The values that ``call`` may give; one that is not known where nothing is."""
    name = dotted(call.func, known.module)
    last = name.rpartition(".")[2]
    if name in ("os.environ.get", "os.getenv", "environ.get", "getenv"):
        yield from _variable(call, known)
    elif last in _DESCRIPTIONS and (given := _described(call)) is not None:
        yield from known.values(given)
    elif last == "get" and isinstance(call.func, ast.Attribute) and known.displays(call.func.value):
        yield from known.item(call.func.value, call.args[0]) if call.args else ()
        yield from known.values(call.args[1]) if len(call.args) > 1 else ()
    else:
        texts = list(_texts(call, name, known))
        yield from (Value(text, call.lineno, call.col_offset) for text in texts)
        if not texts:
            yield from _returned(call, known)


def _variable(call: ast.Call, known: Evaluator) -> Iterator[Value]:
    """A variable may be set to anything; what stands beside it takes its place where it is not."""
    yield unknown(call.lineno, call.col_offset)
    defaults = [*call.args[1:2], *(each.value for each in call.keywords if each.arg == "default")]
    for default in defaults:
        yield from (value.instead(default.lineno, default.col_offset) for value in known.values(default))


def _described(call: ast.Call) -> ast.expr | None:
    given = {each.arg: each.value for each in call.keywords}
    return given.get("default") or (call.args[0] if call.args else None)


def _texts(call: ast.Call, name: str, known: Evaluator) -> Iterator[str]:
    args = call.args
    if name in _PATHS or name == "os.path.join":
        for each in combinations([known.texts(arg) for arg in args]):
            yield join_paths(each) if name == "os.path.join" else as_path(join_paths(each))
    elif name in _FUNCTIONS and args:
        yield from (_FUNCTIONS[name](text) for text in known.texts(args[-1]))
    elif isinstance(call.func, ast.Attribute):
        method, owner = call.func.attr, call.func.value
        if method == "joinpath":
            yield from (as_path(join_paths(each)) for each in combinations([known.texts(x) for x in (owner, *args)]))
        elif method == "join" and len(args) == 1 and isinstance(args[0], (ast.List, ast.Tuple)):
            for separator in known.texts(owner):
                yield from (separator.join(each) for each in combinations([known.texts(x) for x in args[0].elts]))
        elif method == "format":
            yield from _formatted(call, owner, known)
        elif method in _METHODS and own_class(owner, known.module) is None:
            yield from (_METHODS[method](text) for text in known.texts(owner))


def _formatted(call: ast.Call, owner: ast.expr, known: Evaluator) -> Iterator[str]:
    """``"{}/{}".format(a, b=c)``: what is written of the arguments; anything that is not simple is a hole."""
    named = {each.arg: known.texts(each.value)[0] for each in call.keywords if each.arg}
    placed = [known.texts(each)[0] for each in call.args]
    for text in known.texts(owner):
        waiting = iter(placed)

        def fill(matched: re.Match[str], waiting: Iterator[str] = waiting) -> str:
            name = matched[1]
            if name.isdigit():
                return placed[int(name)] if int(name) < len(placed) else HOLE
            return named.get(name, HOLE) if name else next(waiting, HOLE)

        yield re.sub(r"\{(\w*)[^{}]*\}", fill, text)


def _returned(call: ast.Call, known: Evaluator) -> Iterator[Value]:
    """What an own function or method returns."""
    module = known.module
    functions: list[ast.AST] = []
    if isinstance(call.func, ast.Name):
        functions = [each.node for each in module.lookup(call.func.id, call.func)]
    elif isinstance(call.func, ast.Attribute):
        owner = own_class(call.func.value, module)
        functions = [each.node for each in module.members(owner, call.func.attr)] if owner else []
    found = [value for each in functions if isinstance(each, Function) for value in known.returned(each)]
    yield from found or known.imported(dotted(call.func, module), call)
