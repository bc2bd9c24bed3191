"""Which modules a module imports, read from its source without running it."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

PACKAGE = "bundler"


def modules(root: Path) -> dict[str, Path]:
    """Every module of the package below ``root`` by its dotted name."""
    found = {}
    for path in sorted((root / PACKAGE).rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports_of(name: str, path: Path) -> Iterator[str]:
    """Dotted names that the module mentions in import statements, those inside functions too.

    ``from a import b`` gives ``a`` and ``a.b``: which of them is a module, only the reader knows.
    """
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(name, path, node)
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def _absolute(name: str, path: Path, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    parts = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    base = parts[: len(parts) - (node.level - 1)]
    return ".".join([*base, *([node.module] if node.module else [])])


def closure(roots: Iterable[str], known: Mapping[str, Path]) -> dict[str, tuple[str, ...]]:
    """The modules of the package that ``roots`` reach, each with the way there; parent packages are reached too."""
    reached: dict[str, tuple[str, ...]] = {}
    waiting: list[tuple[str, tuple[str, ...]]] = [(root, (root,)) for root in roots]
    while waiting:
        name, way = waiting.pop()
        if name not in known or name in reached:
            continue
        reached[name] = way
        parent = name.rpartition(".")[0]
        waiting += [(target, (*way, target)) for target in (parent, *imports_of(name, known[name]))]
    return reached
