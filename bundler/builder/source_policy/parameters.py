"""What a parameter of a Python function may be: its default, and what the calls in the same module pass for it."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from bundler.builder.source_policy.bindings import Function, FunctionNode, Module


def given_for(module: Module, parameter: ast.arg) -> list[ast.expr]:
    """Every expression that the parameter may stand for, as far as this module tells."""
    function = next(each for each in module.around(parameter) if isinstance(each, Function))
    return [*_default(function, parameter), *_option(function, parameter), *_passed(module, function, parameter)]


def options_called(module: Module, attribute: str) -> Iterator[ast.expr]:
    """Defaults that `argparse` is given for ``args.ATTRIBUTE``."""
    for call in module.calls_named("add_argument"):
        if attribute in _option_names(call):
            yield from (each.value for each in call.keywords if each.arg == "default")


def _default(function: FunctionNode, parameter: ast.arg) -> Iterator[ast.expr]:
    arguments = function.args
    positional = reversed([*arguments.posonlyargs, *arguments.args])
    pairs = [*zip(positional, reversed(arguments.defaults)), *zip(arguments.kwonlyargs, arguments.kw_defaults)]
    yield from (default for each, default in pairs if each is parameter and default is not None)


def _option(function: FunctionNode, parameter: ast.arg) -> Iterator[ast.expr]:
    """``@click.option("--model", default=…)`` above the function."""
    for decorator in getattr(function, "decorator_list", []):
        is_option = isinstance(decorator, ast.Call) and isinstance(decorator.func, ast.Attribute)
        if is_option and decorator.func.attr in ("option", "argument") and parameter.arg in _option_names(decorator):
            yield from (each.value for each in decorator.keywords if each.arg == "default")


def _option_names(call: ast.Call) -> list[str]:
    texts = [str(each.value) for each in call.args if isinstance(each, ast.Constant)]
    return [text.lstrip("-").replace("-", "_") for text in texts]


def _passed(module: Module, function: FunctionNode, parameter: ast.arg) -> Iterator[ast.expr]:
    names = [each.arg for each in (*function.args.posonlyargs, *function.args.args)]
    owner = module.parents.get(function)
    shift = 1 if isinstance(owner, ast.ClassDef) and names[:1] in (["self"], ["cls"]) else 0
    index = names.index(parameter.arg) - shift if parameter.arg in names else -1
    for call in module.calls_named(_name_of(function, owner)):
        yield from (each.value for each in call.keywords if each.arg == parameter.arg)
        if 0 <= index < len(call.args) and not any(isinstance(each, ast.Starred) for each in call.args):
            yield call.args[index]


def _name_of(function: FunctionNode, owner: ast.AST | None) -> str:
    """By which name the function is called: a class's for its ``__init__``, a variable's for a lambda."""
    if isinstance(function, ast.Lambda):
        target = owner.targets[0] if isinstance(owner, ast.Assign) else None
        return target.id if isinstance(target, ast.Name) else "\0"
    return owner.name if isinstance(owner, ast.ClassDef) and function.name == "__init__" else function.name
