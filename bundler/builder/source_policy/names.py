"""What a Python expression is called: ``tf.AutoModel.from_pretrained`` whatever it was imported or assigned as."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field

from bundler.builder.source_policy.bindings import Binding, Module

OWN = "<own>"
SOMETHING = "?"
_DEPTH = 20
_BOUND = ("functools.partial", "functools.partialmethod")
# Calls that call what they are given; what stands behind it are its arguments.
_FORWARDING = (".to_thread", ".submit", ".run_in_executor", ".run_sync", "run_in_threadpool", *_BOUND)


@dataclass(frozen=True)
class Callee:
    """A dotted name, and the arguments that `functools.partial` has put to it already."""

    name: str
    args: tuple[ast.expr, ...] = ()
    keywords: tuple[ast.keyword, ...] = field(default=())


@dataclass(frozen=True)
class Called:
    """A call by the name of what is called in the end, with all of its arguments; ``node`` is where it stands."""

    name: str
    node: ast.Call
    args: tuple[ast.expr, ...]
    keywords: tuple[ast.keyword, ...]

    @property
    def last(self) -> str:
        """The last part of the name."""
        return self.name.rpartition(".")[2]

    def keyword(self, *names: str) -> ast.expr | None:
        """The argument of one of these keywords, or None."""
        return next((each.value for each in self.keywords if each.arg in names), None)

    def argument(self, index: int | None, *names: str) -> ast.expr | None:
        """The argument at a position or with one of these keywords, or None."""
        given = self.keyword(*names)
        if given is None and index is not None and index < len(self.args):
            before = self.args[: index + 1]
            given = None if any(isinstance(each, ast.Starred) for each in before) else before[-1]
        return given

    @property
    def has_hidden(self) -> bool:
        """Whether ``*args`` or ``**kwargs`` may bring more."""
        return any(each.arg is None for each in self.keywords) or any(
            isinstance(each, ast.Starred) for each in self.args
        )


def calls_of(module: Module) -> Iterator[Called]:
    """Every call of the module, those that another call makes (`asyncio.to_thread(load, …)`) among them."""
    for node in module.calls:
        callee = _callee(node.func, module, 0)
        if callee.name in _BOUND and isinstance(module.parents.get(node), (ast.Assign, ast.AnnAssign)):
            continue  # its arguments count where the name is called
        if callee.name.endswith(_FORWARDING):
            yield from _forwarded(node, module)
        yield Called(callee.name, node, (*callee.args, *node.args), (*callee.keywords, *node.keywords))


def _forwarded(node: ast.Call, module: Module) -> Iterator[Called]:
    for index, given in enumerate(node.args[:2]):
        if isinstance(given, (ast.Name, ast.Attribute)):
            inner = _callee(given, module, 0)
            yield Called(inner.name, node, (*inner.args, *node.args[index + 1 :]), (*inner.keywords, *node.keywords))


def dotted(expr: ast.expr, module: Module, depth: int = 0) -> str:
    """The dotted name of ``expr``: imports and plain assignments followed; ``?`` for what has none."""
    return _callee(expr, module, depth).name


def _callee(expr: ast.expr, module: Module, depth: int) -> Callee:
    if depth > _DEPTH:
        return Callee(SOMETHING)
    found = module.known_names.get(expr)
    if not isinstance(found, Callee):
        # Until it is known it is something: names may be assigned to each other in a circle.
        module.known_names[expr] = Callee(SOMETHING)
        found = module.known_names[expr] = _named(expr, module, depth)
    return found


def _named(expr: ast.expr, module: Module, depth: int) -> Callee:
    if isinstance(expr, ast.Name):
        return _of_name(expr, module, depth)
    if isinstance(expr, ast.Attribute):
        return Callee(_of_attribute(expr, module, depth))
    if isinstance(expr, ast.Call):
        return _of_call(expr, module, depth)
    return Callee(SOMETHING)


def _of_name(expr: ast.Name, module: Module, depth: int) -> Callee:
    found = module.lookup(expr.id, expr)
    if not found:
        return Callee(expr.id)
    named = [_of_binding(each, module, depth) for each in found]
    return next((each for each in named if not each.name.startswith((SOMETHING, OWN))), named[-1])


def _of_binding(binding: Binding, module: Module, depth: int) -> Callee:
    if binding.kind == "import":
        return Callee(binding.dotted)
    if binding.kind == "value" and binding.expr is not None:
        return _callee(binding.expr, module, depth + 1)
    if isinstance(binding.node, ast.ClassDef):
        return Callee(_of_class(binding.node, "__init__", module, depth))
    if binding.kind == "definition":
        return Callee(OWN)
    return Callee(SOMETHING)


def _of_class(node: ast.ClassDef, method: str, module: Module, depth: int) -> str:
    """An own class stands for itself where it defines ``method``, else for its first base that is not its own."""
    if module.members(node, method):
        return OWN
    names = [dotted(base, module, depth + 1) for base in node.bases]
    return next((name for name in names if not name.startswith((OWN, SOMETHING))), OWN if not names else names[0])


def _of_attribute(expr: ast.Attribute, module: Module, depth: int) -> str:
    owner = own_class(expr.value, module)
    if owner is not None:
        members = [each for each in module.members(owner, expr.attr) if each.kind in ("value", "definition")]
        if members:
            named = [_of_binding(each, module, depth + 1) if each.kind == "value" else Callee(OWN) for each in members]
            return next((each.name for each in named if each.name != SOMETHING), f"{OWN}.{expr.attr}")
        base = _of_class(owner, expr.attr, module, depth)
        return f"{SOMETHING}.{expr.attr}" if base == OWN and owner.bases else f"{base}.{expr.attr}"
    base = dotted(expr.value, module, depth + 1)
    if base == OWN:
        base = SOMETHING
    return (
        f"{base}.{expr.attr}".removesuffix(".__init__") if isinstance(expr.value, ast.Call) else f"{base}.{expr.attr}"
    )


def _of_call(expr: ast.Call, module: Module, depth: int) -> Callee:
    function = _callee(expr.func, module, depth + 1).name
    first = expr.args[0] if expr.args else None
    if function in _BOUND and first is not None:
        inner = _callee(first, module, depth + 1)
        return Callee(inner.name, (*inner.args, *expr.args[1:]), (*inner.keywords, *expr.keywords))
    if function == "getattr" and len(expr.args) >= 2 and first is not None:
        attribute = expr.args[1]
        if isinstance(attribute, ast.Constant) and isinstance(attribute.value, str):
            return Callee(f"{dotted(first, module, depth + 1)}.{attribute.value}")
    if function in ("importlib.import_module", "__import__") and isinstance(first, ast.Constant):
        return Callee(str(first.value))
    if function == "super":
        owner = module.class_of(expr)
        bases = [dotted(base, module, depth + 1) for base in owner.bases] if owner else []
        return Callee(next(iter(bases), SOMETHING))
    return Callee(SOMETHING)


def own_class(expr: ast.expr, module: Module, depth: int = 0) -> ast.ClassDef | None:
    """The class of this module that ``expr`` is, or is an instance of: by name, call, annotation or ``self``."""
    if expr not in module.known_classes:
        module.known_classes[expr] = None
        module.known_classes[expr] = _own_class(expr, module, depth)
    return module.known_classes[expr]


def _own_class(expr: ast.expr, module: Module, depth: int) -> ast.ClassDef | None:
    if isinstance(expr, ast.Call):
        return own_class(expr.func, module, depth + 1) if depth < _DEPTH else None
    if isinstance(expr, ast.Attribute):
        owner = own_class(expr.value, module, depth + 1) if depth < _DEPTH else None
        members = module.members(owner, expr.attr) if owner else []
        return next((found for each in members if (found := _class_behind(each, module, depth))), None)
    if not isinstance(expr, ast.Name):
        return None
    if expr.id in ("self", "cls"):
        return module.class_of(expr)
    return next((found for each in module.lookup(expr.id, expr) if (found := _class_behind(each, module, depth))), None)


def _class_behind(binding: Binding, module: Module, depth: int) -> ast.ClassDef | None:
    if depth >= _DEPTH:
        return None
    if isinstance(binding.node, ast.ClassDef):
        return binding.node
    if binding.kind == "value" and isinstance(binding.expr, (ast.Name, ast.Call, ast.Attribute)):
        return own_class(binding.expr, module, depth + 1)
    annotation = getattr(binding.node, "annotation", None)
    return own_class(annotation, module, depth + 1) if isinstance(annotation, ast.Name) else None
