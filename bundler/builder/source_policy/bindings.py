"""Which names a Python module binds, where, and to what: the ground on which constants are followed.

Names are looked up as Python does it (function, functions around it, module; a class body only for itself), without
running anything. Of several bindings of a name all count, but for those that a later one in the same block has
certainly replaced.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Union

BindingKind = Literal["value", "element", "parameter", "import", "definition", "unknown"]
Function = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
FunctionNode = Union[ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda]
_SCOPES = (*Function, ast.ClassDef, ast.Module)


@dataclass(frozen=True)
class Binding:
    """One place that gives a name its value: ``expr`` where there is one, the dotted name for an import."""

    kind: BindingKind
    node: ast.AST
    expr: ast.expr | None = None
    dotted: str = ""
    index: int | None = None


class Module:
    """A parsed file with its bindings. ``name`` is the dotted name as far as the path tells it."""

    def __init__(self, tree: ast.Module, parts: tuple[str, ...]) -> None:
        self.tree = tree
        self.parts = parts
        self.parents: dict[ast.AST, ast.AST] = {}
        self._names: dict[tuple[ast.AST, str], list[Binding]] = defaultdict(list)
        self._members: dict[tuple[ast.ClassDef, str], list[Binding]] = defaultdict(list)
        self.nodes = tuple(ast.walk(tree))
        self.known_names: dict[ast.expr, object] = {}
        self.known_classes: dict[ast.expr, ast.ClassDef | None] = {}
        self._asked: dict[tuple[str, ...], ast.expr] = {}
        self._calls: dict[str, list[ast.Call]] = defaultdict(list)
        for node in self.nodes:
            for child in ast.iter_child_nodes(node):
                self.parents[child] = node
        self._global = {
            (self.scope(node), name) for node in self.nodes if isinstance(node, ast.Global) for name in node.names
        }
        for node in self.nodes:
            if isinstance(node, ast.Call):
                self._calls[_called(node)].append(node)
            for target, binding in _bindings(node, parts):
                self._bind(target, binding)

    @property
    def calls(self) -> Iterator[ast.Call]:
        """Every call in the file."""
        return (node for node in self.nodes if isinstance(node, ast.Call))

    def calls_named(self, name: str) -> list[ast.Call]:
        """The calls of a function or method of that name, whatever owns it."""
        return self._calls.get(name, [])

    def scope(self, node: ast.AST) -> ast.AST:
        """The function, class or module in which ``node`` stands."""
        around = self.parents.get(node, self.tree)
        # Defaults and decorators are evaluated where the function is defined.
        while not isinstance(around, _SCOPES) or (isinstance(around, Function) and not _inside(node, around)):
            node, around = around, self.parents[around]
        return around

    def around(self, node: ast.AST) -> Iterator[ast.AST]:
        """Everything in which ``node`` stands, from the nearest."""
        while node in self.parents:
            node = self.parents[node]
            yield node

    def class_of(self, node: ast.AST) -> ast.ClassDef | None:
        """The class whose body or methods ``node`` stands in."""
        return next((each for each in self.around(node) if isinstance(each, ast.ClassDef)), None)

    def lookup(self, name: str, use: ast.AST) -> list[Binding]:
        """The bindings that ``name`` may have at ``use``, nearest scope only; none for a builtin."""
        scope = first = self.scope(use)
        while True:
            if not isinstance(scope, ast.ClassDef) or scope is first:
                found = self._names.get((scope, name))
                if found:
                    return self._alive(found, use) if scope is first else found
            if isinstance(scope, ast.Module):
                return []
            scope = self.scope(scope)

    def bound(self, name: str, near: ast.AST) -> list[Binding]:
        """All bindings of ``name`` in the scope of ``near`` itself."""
        return self._names.get((self.scope(near), name), [])

    def members(self, owner: ast.ClassDef, name: str) -> list[Binding]:
        """What ``self.NAME`` and ``Class.NAME`` may be: the class body, and assignments in its methods."""
        return [*self._names.get((owner, name), []), *self._members.get((owner, name), [])]

    def expression(self, path: tuple[str, ...]) -> ast.expr:
        """``a.b`` for what other modules import from this one, as if it stood at the file's top."""
        if path not in self._asked:
            expr: ast.expr = ast.Name(path[0], lineno=1, col_offset=0)
            for attribute in path[1:]:
                around = ast.Attribute(expr, attribute, lineno=1, col_offset=0)
                self.parents[expr] = around
                expr = around
            self.parents[expr] = self.tree
            self._asked[path] = expr
        return self._asked[path]

    def _bind(self, target: ast.expr | str, binding: Binding) -> None:
        if isinstance(target, str):
            at = binding.node if not isinstance(binding.node, ast.arg) else _function_of(binding.node, self.parents)
            scope = at if isinstance(binding.node, ast.arg) else self.scope(at)
            self._names[scope, target].append(binding)
        elif isinstance(target, ast.Name):
            scope = self.scope(target)
            self._names[self.tree if (scope, target.id) in self._global else scope, target.id].append(binding)
        elif isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name):
            owner = self.class_of(target)
            if owner is not None and target.value.id in ("self", "cls"):
                self._members[owner, target.attr].append(binding)
        elif isinstance(target, ast.Starred):
            self._bind(target.value, Binding("unknown", target))
        elif isinstance(target, (ast.Tuple, ast.List)):
            for index, each in enumerate(target.elts):
                whole = binding.expr
                parts = whole.elts if isinstance(whole, (ast.Tuple, ast.List)) and binding.kind == "value" else []
                part = parts[index] if index < len(parts) and len(parts) == len(target.elts) else None
                self._bind(each, Binding("value" if part is not None else "unknown", binding.node, part))

    def _alive(self, found: list[Binding], use: ast.AST) -> list[Binding]:
        """Without what stands behind the use, and without what a later binding in a block around it has replaced."""
        around = list(self.around(use))
        if any(isinstance(each, (ast.For, ast.AsyncFor, ast.While)) for each in around):
            return found
        before = [each for each in found if each.node not in around and _place(each.node) <= _place(use)]
        before.sort(key=lambda each: _place(each.node))
        blocks = [(child, parent) for child, parent in zip([use, *around], around)]
        for number in range(len(before) - 1, -1, -1):
            binding = before[number]
            if binding.kind != "parameter" and any(
                parent is self.parents.get(binding.node) and _same_block(parent, binding.node, child)
                for child, parent in blocks
            ):
                return before[number:]
        return before or found


def _bindings(node: ast.AST, parts: tuple[str, ...]) -> Iterator[tuple[ast.expr | str, Binding]]:
    if isinstance(node, ast.Assign):
        yield from ((target, Binding("value", node, node.value)) for target in node.targets)
    elif isinstance(node, (ast.AnnAssign, ast.NamedExpr)):
        if node.value is not None:
            yield node.target, Binding("value", node, node.value)
    elif isinstance(node, ast.AugAssign):
        yield node.target, Binding("unknown", node)
    elif isinstance(node, (ast.For, ast.AsyncFor, ast.comprehension)):
        yield node.target, Binding("element", node.target, node.iter)
    elif isinstance(node, ast.withitem) and node.optional_vars is not None:
        yield node.optional_vars, Binding("unknown", node.optional_vars)
    elif isinstance(node, ast.arg):
        yield node.arg, Binding("parameter", node)
    elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        yield node.name, Binding("definition", node)
    elif isinstance(node, (ast.Import, ast.ImportFrom)):
        yield from _imports(node, parts)


def _imports(node: ast.Import | ast.ImportFrom, parts: tuple[str, ...]) -> Iterator[tuple[str, Binding]]:
    if isinstance(node, ast.Import):
        for alias in node.names:
            # `import a.b` binds a; `import a.b as c` binds what a.b is.
            name = alias.asname or alias.name.partition(".")[0]
            yield name, Binding("import", node, dotted=alias.name if alias.asname else name)
        return
    package = ".".join(parts[: len(parts) - node.level]) if node.level else ""
    module = ".".join(part for part in (package, node.module) if part)
    for alias in node.names:
        yield alias.asname or alias.name, Binding("import", node, dotted=f"{module}.{alias.name}")


def _function_of(node: ast.AST, parents: dict[ast.AST, ast.AST]) -> ast.AST:
    while not isinstance(node, Function):
        node = parents[node]
    return node


def _inside(node: ast.AST, function: ast.AST) -> bool:
    """Whether ``node``, a child of ``function``, belongs to its body."""
    body = getattr(function, "body", None)
    return node is body or (isinstance(body, list) and node in body)


def _called(call: ast.Call) -> str:
    """The last part of what is called, or nothing."""
    function = call.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _place(node: ast.AST) -> tuple[int, int]:
    return (getattr(node, "lineno", 0), getattr(node, "col_offset", 0))


def _same_block(parent: ast.AST, first: ast.AST, second: ast.AST) -> bool:
    """Whether both are statements of one list of ``parent``: its body, its `else`, one of its handlers."""
    blocks = (getattr(parent, name, None) for name in ("body", "orelse", "finalbody", "handlers"))
    return any(isinstance(block, list) and first in block and second in block for block in blocks)
