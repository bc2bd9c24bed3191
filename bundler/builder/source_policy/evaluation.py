"""Follows Python expressions to the values that they may have: constants, assignments, defaults, joined texts, paths.

Everything that an expression may be is gathered, whatever condition decides between them. What cannot be followed is
one value that is not known. Nothing is run.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from bundler.builder.source_policy.bindings import Binding, Function, Module
from bundler.builder.source_policy.called_values import value_of_call
from bundler.builder.source_policy.names import Called, calls_of, dotted, own_class
from bundler.builder.source_policy.parameters import given_for, options_called
from bundler.builder.source_policy.project import Project
from bundler.builder.source_policy.text_values import formatted, joined
from bundler.builder.source_policy.values import HOLE, Value, distinct, unknown

_DEPTH = 40
# For one question. Names that lead to each other in many ways would take for ever, and tell nothing more.
_STEPS = 5_000
Display = ast.Dict | ast.List | ast.Tuple | ast.Set


@dataclass
class _Walk:
    """Where the evaluators of a project stand: the expressions that are being followed, and what was found of others."""

    open: set[ast.AST] = field(default_factory=set)
    steps: int = 0
    cuts: int = 0
    found: dict[ast.AST, tuple[Value, ...]] = field(default_factory=dict)


class Evaluator:
    """Values of expressions of one module; other modules of the project have evaluators of their own."""

    def __init__(self, module: Module, project: Project | None = None, walk: _Walk | None = None) -> None:
        self.module = module
        self._project = project or Project()
        self._walk = walk or _Walk()

    @cached_property
    def calls(self) -> tuple[Called, ...]:
        """Every call of the module by the name of what is called."""
        return tuple(calls_of(self.module))

    def values(self, expr: ast.expr) -> tuple[Value, ...]:
        """Everything that ``expr`` may be, never empty."""
        walk, nothing = self._walk, (unknown(expr.lineno, expr.col_offset),)
        if expr in walk.found:
            return walk.found[expr]
        if not walk.open:
            walk.steps = 0
        walk.steps += 1
        if expr in walk.open or len(walk.open) > _DEPTH or walk.steps > _STEPS:
            walk.cuts += 1
            return nothing
        walk.open.add(expr)
        cuts = walk.cuts
        try:
            values = distinct(self._values(expr)) or nothing
        finally:
            walk.open.discard(expr)
        if walk.cuts == cuts or not walk.open:
            walk.found[expr] = values
        return values

    def texts(self, expr: ast.expr) -> list[str]:
        """The texts that ``expr`` may be, a hole for what is not known."""
        return [value.text if value.text is not None else HOLE for value in self.values(expr)]

    def merged(self, exprs: Sequence[ast.expr]) -> Iterator[Value]:
        """Values of several expressions, of which one takes the place of another: each stands where it does so."""
        for expr in exprs:
            for value in self.values(expr):
                yield value.instead(expr.lineno, expr.col_offset) if len(exprs) > 1 else value

    def _values(self, expr: ast.expr) -> Iterator[Value]:
        line, column = expr.lineno, expr.col_offset
        if isinstance(expr, ast.Constant):
            yield Value(expr.value, line, column)
        elif isinstance(expr, ast.Name):
            yield from self._of_bindings(self.module.lookup(expr.id, expr), expr)
        elif isinstance(expr, ast.Attribute):
            yield from self._of_attribute(expr)
        elif isinstance(expr, (ast.IfExp, ast.BoolOp)):
            yield from self.merged(expr.values if isinstance(expr, ast.BoolOp) else [expr.body, expr.orelse])
        elif isinstance(expr, (ast.NamedExpr, ast.Await)):
            yield from self.values(expr.value)
        elif isinstance(expr, (ast.JoinedStr, ast.BinOp)):
            texts = formatted(expr, self) if isinstance(expr, ast.JoinedStr) else joined(expr, self)
            yield from (Value(text, line, column) for text in texts)
        elif isinstance(expr, ast.Subscript):
            yield from self.item(expr.value, expr.slice)
        elif isinstance(expr, ast.Call):
            yield from value_of_call(expr, self)

    def _of_bindings(self, found: Sequence[Binding], use: ast.expr) -> Iterator[Value]:
        if not found and isinstance(use, ast.Name) and use.id == "__file__":
            yield Value(f"/{HOLE}", use.lineno, use.col_offset)
        for binding in found:
            place = binding.expr if binding.kind == "value" and len(found) > 1 else None
            for value in self._of_binding(binding, use):
                yield value.instead(place.lineno, place.col_offset) if place is not None else value

    def _of_binding(self, binding: Binding, use: ast.expr) -> Iterator[Value]:
        if binding.kind == "value" and binding.expr is not None:
            yield from self.values(binding.expr)
        elif binding.kind == "element" and binding.expr is not None:
            yield from self._elements(binding.expr)
        elif isinstance(binding.node, ast.arg):
            given = given_for(self.module, binding.node)
            yield from (value for expr in given for value in self.values(expr))
        elif binding.kind == "import":
            yield from self.imported(binding.dotted, use)
        elif isinstance(binding.node, Function):
            yield from self.returned(binding.node)
        else:
            yield unknown(use.lineno, use.col_offset)

    def _elements(self, expr: ast.expr) -> Iterator[Value]:
        """What a loop over ``expr`` gives: the items of a list, the keys of a dictionary."""
        for node in self.displays(expr):
            for item in node.keys if isinstance(node, ast.Dict) else node.elts:
                yield from self.values(item) if item is not None else ()

    def displays(self, expr: ast.expr, depth: int = 0) -> list[Display]:
        """The literal collections that ``expr`` may be."""
        if isinstance(expr, Display):
            return [expr]
        bindings: list[Binding] = []
        if isinstance(expr, ast.Name):
            bindings = self.module.lookup(expr.id, expr)
        elif isinstance(expr, ast.Attribute):
            owner = own_class(expr.value, self.module)
            bindings = self.module.members(owner, expr.attr) if owner else []
        exprs = [each.expr for each in bindings if each.kind == "value" and each.expr is not None]
        return [node for each in exprs for node in (self.displays(each, depth + 1) if depth < 5 else [])]

    def item(self, whole: ast.expr, key: ast.expr) -> Iterator[Value]:
        """``whole[key]`` of literal collections; any of the items where the key is not known."""
        wanted = {value.content for value in self.values(key) if value.known and value.content != HOLE}
        for node in self.displays(whole):
            keys = node.keys if isinstance(node, ast.Dict) else [ast.Constant(each) for each in range(len(node.elts))]
            items = node.values if isinstance(node, ast.Dict) else node.elts
            for each, expr in zip(keys, items):
                if not wanted or (isinstance(each, ast.Constant) and each.value in wanted):
                    yield from self.values(expr)

    def _of_attribute(self, expr: ast.Attribute) -> Iterator[Value]:
        if expr.attr in ("value", "default") and isinstance(expr.value, ast.Attribute):
            yield from self.values(expr.value)  # a member of an enumeration
            return
        owner = own_class(expr.value, self.module)
        members = self.module.members(owner, expr.attr) if owner else []
        if members:
            yield from self._of_bindings(members, expr)
        elif expr.attr == "parent":
            for text in self.texts(expr.value):
                above = text.rpartition("/")[0] or "/"
                yield Value(above if text.startswith("/") else HOLE, expr.lineno, expr.col_offset)
        else:
            yield from self.imported(dotted(expr, self.module), expr)
            yield from (value for given in options_called(self.module, expr.attr) for value in self.values(given))

    def returned(self, function: ast.AST) -> Iterator[Value]:
        """What a function of this module may return."""
        found = [each for each in ast.walk(function) if isinstance(each, ast.Return)]
        exprs = [each.value for each in found if each.value is not None and self.module.scope(each) is function]
        yield from self.merged([function.body] if isinstance(function, ast.Lambda) else exprs)

    def imported(self, name: str, use: ast.expr) -> Iterator[Value]:
        """A name of another module of the project, as far as it is one; it stands where it is used."""
        module_name, _, attribute = name.rpartition(".")
        outer, _, middle = module_name.rpartition(".")
        for where, path in ((module_name, (attribute,)), (outer, (middle, attribute))):
            other = self._project.find(where, self.module) if where else None
            if other is not None and other is not self.module:
                inner = Evaluator(other, self._project, self._walk)
                yield from (value.moved(use.lineno, use.col_offset) for value in inner.values(other.expression(path)))
                return
