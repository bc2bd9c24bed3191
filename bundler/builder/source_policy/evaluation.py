"""Follows Python expressions to the values that they may have: constants, assignments, defaults, joined texts, paths.

Everything that an expression may be is gathered, whatever condition decides between them. What cannot be followed is
one value that is not known. Nothing is run.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

from bundler.builder.source_policy.bindings import Binding, Function, FunctionNode, Module
from bundler.builder.source_policy.called_values import value_of_call
from bundler.builder.source_policy.names import SOMETHING, dotted, own_class
from bundler.builder.source_policy.project import Project
from bundler.builder.source_policy.text_values import formatted, joined
from bundler.builder.source_policy.values import HOLE, Value, distinct, unknown

_DEPTH = 30
_FIELDS = ("Field", "field", "Option", "Argument", "Form", "Query")


class Evaluator:
    """Values of expressions of one module; other modules of the project have evaluators of their own."""

    def __init__(self, module: Module, project: Project | None = None, depth: int = 0) -> None:
        self.module = module
        self._project = project or Project()
        self._depth = depth
        self._open: set[ast.AST] = set()

    def values(self, expr: ast.expr) -> tuple[Value, ...]:
        """Everything that ``expr`` may be, never empty."""
        if expr in self._open or len(self._open) + self._depth > _DEPTH:
            return (unknown(expr.lineno, expr.col_offset),)
        self._open.add(expr)
        try:
            return distinct(self._values(expr)) or (unknown(expr.lineno, expr.col_offset),)
        finally:
            self._open.discard(expr)

    def texts(self, expr: ast.expr) -> list[str]:
        """The texts that ``expr`` may be, a hole for what is not known."""
        return [value.text if value.text is not None else HOLE for value in self.values(expr)]

    def merged(self, exprs: Sequence[ast.expr]) -> Iterator[Value]:
        """Values of several expressions, of which one takes the place of another: each stands where it does so."""
        for expr in exprs:
            for value in self.values(expr):
                yield value.moved(expr.lineno, expr.col_offset) if len(exprs) > 1 else value

    def _values(self, expr: ast.expr) -> Iterator[Value]:
        here = unknown(expr.lineno, expr.col_offset)
        if isinstance(expr, ast.Constant):
            yield Value(expr.value, expr.lineno, expr.col_offset)
        elif isinstance(expr, ast.Name):
            yield from self._of_bindings(self.module.lookup(expr.id, expr), expr)
        elif isinstance(expr, ast.Attribute):
            yield from self._of_attribute(expr)
        elif isinstance(expr, ast.IfExp):
            yield from self.merged([expr.body, expr.orelse])
        elif isinstance(expr, ast.BoolOp):
            yield from self.merged(expr.values)
        elif isinstance(expr, (ast.NamedExpr, ast.Await)):
            yield from self.values(expr.value)
        elif isinstance(expr, ast.JoinedStr):
            yield from (Value(text, here.line, here.column) for text in formatted(expr, self))
        elif isinstance(expr, ast.BinOp):
            yield from (Value(text, here.line, here.column) for text in joined(expr, self))
        elif isinstance(expr, ast.Subscript):
            yield from self._of_item(expr.value, expr.slice, expr)
        elif isinstance(expr, ast.Call):
            yield from value_of_call(expr, self)
        else:
            yield here

    def _of_bindings(self, found: Sequence[Binding], use: ast.expr) -> Iterator[Value]:
        if not found:
            builtin = isinstance(use, ast.Name) and use.id == "__file__"
            yield Value(f"/{HOLE}", use.lineno, use.col_offset) if builtin else unknown(use.lineno, use.col_offset)
        for binding in found:
            for value in self._of_binding(binding, use):
                place = binding.expr if binding.kind == "value" else None
                moves = len(found) > 1 and place is not None
                yield value.moved(place.lineno, place.col_offset) if moves and place is not None else value

    def _of_binding(self, binding: Binding, use: ast.expr) -> Iterator[Value]:
        if binding.kind == "value" and binding.expr is not None:
            yield from self.values(binding.expr)
        elif binding.kind == "element" and binding.expr is not None:
            yield from self.elements(binding.expr)
        elif binding.kind == "parameter" and isinstance(binding.node, ast.arg):
            yield from self._of_parameter(binding.node)
        elif binding.kind == "import":
            yield from self._imported(binding.dotted, use)
        elif isinstance(binding.node, Function):
            yield from self.returned(binding.node)
        else:
            yield unknown(use.lineno, use.col_offset)

    def elements(self, expr: ast.expr) -> Iterator[Value]:
        """What a loop over ``expr`` gives: the items of a list, the keys of a dictionary."""
        for node in self.displays(expr):
            items = node.keys if isinstance(node, ast.Dict) else node.elts
            for item in items:
                yield from self.values(item) if item is not None else ()
        if not self.displays(expr):
            yield unknown(expr.lineno, expr.col_offset)

    def displays(self, expr: ast.expr, depth: int = 0) -> list[ast.Dict | ast.List | ast.Tuple | ast.Set]:
        """The literal collections that ``expr`` may be."""
        if isinstance(expr, (ast.Dict, ast.List, ast.Tuple, ast.Set)):
            return [expr]
        bindings: list[Binding] = []
        if isinstance(expr, ast.Name):
            bindings = self.module.lookup(expr.id, expr)
        elif isinstance(expr, ast.Attribute):
            owner = own_class(expr.value, self.module)
            bindings = self.module.members(owner, expr.attr) if owner else []
        exprs = [each.expr for each in bindings if each.kind == "value" and each.expr is not None]
        return [node for each in exprs for node in (self.displays(each, depth + 1) if depth < _DEPTH else [])]

    def _of_item(self, whole: ast.expr, key: ast.expr, use: ast.expr) -> Iterator[Value]:
        yield from self.item(whole, key) or [unknown(use.lineno, use.col_offset)]

    def item(self, whole: ast.expr, key: ast.expr) -> list[Value]:
        """``whole[key]`` of literal collections; any of the items where the key is not known."""
        found: list[ast.expr] = []
        wanted = {value.content for value in self.values(key) if value.known}
        for node in self.displays(whole):
            if isinstance(node, ast.Dict):
                pairs = [(each, value) for each, value in zip(node.keys, node.values) if each is not None]
            else:
                pairs = [(ast.Constant(index), value) for index, value in enumerate(getattr(node, "elts", []))]
            fitting = [value for each, value in pairs if isinstance(each, ast.Constant) and each.value in wanted]
            found += fitting if wanted else [value for _, value in pairs]
        return list(self.merged(found))

    def _of_attribute(self, expr: ast.Attribute) -> Iterator[Value]:
        if expr.attr in ("value", "default") and isinstance(expr.value, ast.Attribute):
            yield from self.values(expr.value)  # a member of an enumeration
            return
        owner = own_class(expr.value, self.module)
        members = self.module.members(owner, expr.attr) if owner else []
        if members:
            yield from self._of_bindings(members, expr)
        elif expr.attr in ("parent", "name", "stem"):
            yield from self._of_path_part(expr)
        elif (name := dotted(expr, self.module)) and not name.startswith(SOMETHING):
            yield from self._imported(name, expr)
        else:
            yield from self._options(expr)

    def _of_path_part(self, expr: ast.Attribute) -> Iterator[Value]:
        for text in self.texts(expr.value):
            known = expr.attr == "parent" and text.startswith("/")
            yield Value((text.rpartition("/")[0] or "/") if known else HOLE, expr.lineno, expr.col_offset)

    def _options(self, expr: ast.Attribute) -> Iterator[Value]:
        """``args.model``: the defaults that `argparse` is given for it."""
        for call in self.module.calls:
            if isinstance(call.func, ast.Attribute) and call.func.attr == "add_argument":
                given = {each.arg: each.value for each in call.keywords}
                names = [
                    str(each.value).lstrip("-").replace("-", "_")
                    for each in call.args
                    if isinstance(each, ast.Constant)
                ]
                if expr.attr in names and "default" in given:
                    yield from self.values(given["default"])
        yield from ()

    def _of_parameter(self, parameter: ast.arg) -> Iterator[Value]:
        function = next(each for each in self.module.around(parameter) if isinstance(each, Function))
        found = [*_default_of(function, parameter), *self._given(function, parameter)]
        if not found:
            yield unknown(parameter.lineno, parameter.col_offset)
        for expr in found:
            yield from self.values(expr)

    def _given(self, function: FunctionNode, parameter: ast.arg) -> Iterator[ast.expr]:
        """What the calls in this module pass for the parameter."""
        if isinstance(function, ast.Lambda):
            return
        owner = self.module.parents.get(function)
        name = owner.name if isinstance(owner, ast.ClassDef) and function.name == "__init__" else function.name
        names = [each.arg for each in (*function.args.posonlyargs, *function.args.args)]
        shift = 1 if isinstance(owner, ast.ClassDef) and names[:1] in (["self"], ["cls"]) else 0
        for call in self.module.calls:
            called = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", None)
            if called != name:
                continue
            yield from (each.value for each in call.keywords if each.arg == parameter.arg)
            index = names.index(parameter.arg) - shift if parameter.arg in names else -1
            if 0 <= index < len(call.args) and not any(isinstance(each, ast.Starred) for each in call.args):
                yield call.args[index]

    def returned(self, function: ast.AST) -> Iterator[Value]:
        """What a function of this module may return."""
        own = [each for each in ast.walk(function) if isinstance(each, ast.Return) and each.value is not None]
        exprs = [each.value for each in own if self.module.scope(each) is function and each.value is not None]
        if isinstance(function, ast.Lambda):
            exprs = [function.body]
        yield from self.merged(exprs)

    def _imported(self, name: str, use: ast.expr) -> Iterator[Value]:
        """A name of another module of the project, as far as it is one; it stands where it is used."""
        module_name, _, attribute = name.rpartition(".")
        parts = [(module_name, [attribute])]
        outer, _, middle = module_name.rpartition(".")
        parts.append((outer, [middle, attribute]))
        for where, path in parts:
            other = self._project.find(where, self.module) if where else None
            if other is not None and other is not self.module:
                inner = Evaluator(other, self._project, self._depth + len(self._open) + 1)
                yield from (value.moved(use.lineno, use.col_offset) for value in inner.named(path))
                return
        yield unknown(use.lineno, use.col_offset)

    def named(self, path: list[str]) -> Iterator[Value]:
        """The values of a name of the module itself, or of an attribute of what it names."""
        expr: ast.expr = ast.Name(path[0], lineno=1, col_offset=0)
        for attribute in path[1:]:
            expr = ast.Attribute(expr, attribute, lineno=1, col_offset=0)
        self.module.adopt(expr)
        yield from self.values(expr)


def _default_of(function: FunctionNode, parameter: ast.arg) -> list[ast.expr]:
    arguments = function.args
    positional = [*arguments.posonlyargs, *arguments.args]
    pairs = [
        *zip(reversed(positional), reversed(arguments.defaults)),
        *zip(arguments.kwonlyargs, arguments.kw_defaults),
    ]
    found = [default for each, default in pairs if each is parameter and default is not None]
    return [*found, *_option_of(function, parameter)]


def _option_of(function: FunctionNode, parameter: ast.arg) -> Iterator[ast.expr]:
    """``@click.option("--model", default=…)`` above the function."""
    for decorator in getattr(function, "decorator_list", []):
        if isinstance(decorator, ast.Call) and isinstance(decorator.func, ast.Attribute):
            texts = [each.value for each in decorator.args if isinstance(each, ast.Constant)]
            names = [str(text).lstrip("-").replace("-", "_") for text in texts]
            if decorator.func.attr in ("option", "argument") and parameter.arg in names:
                yield from (each.value for each in decorator.keywords if each.arg == "default")
