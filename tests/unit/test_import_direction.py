"""The architecture as a test: cli -> builder | installer -> core, and what travels imports only what travels with it."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from loader import imports
from loader.build import travelling

ROOT = Path(__file__).resolve().parents[2]
MODULES = imports.modules(ROOT)
# What each part may import of the package; the loader's start is a front door like the command line.
ALLOWED = {
    "bundler.core": {"bundler.core"},
    "bundler.builder": {"bundler.builder", "bundler.core", "bundler.loader"},
    "bundler.installer": {"bundler.installer", "bundler.core"},
    "bundler.loader": {"bundler.core"},
    "bundler.loader.start": {"bundler.cli"},
    "bundler.cli": {"bundler.cli", "bundler.builder", "bundler.installer", "bundler.core", "bundler.loader"},
    "bundler.__main__": {"bundler.cli"},
}
# requests and urllib3 come with docker, which stands on them.
CARRIED = {"click", "docker", "requests", "tqdm", "urllib3", "zstandard"}
STANDARD_SINCE_39 = {"compression"}  # of Python 3.14, asked for late and never needed


def part_of(name: str) -> str | None:
    """The part of the house that a module belongs to; None for the package itself and for what is not ours."""
    parts = [part for part in ALLOWED if name == part or name.startswith(part + ".")]
    return max(parts, key=len) if parts else None


def forbidden(name: str, path: Path) -> list[str]:
    part = part_of(name)
    if part is None:
        return []
    targets = {target for imported in imports.imports_of(name, path) if (target := part_of(imported))}
    return sorted(target for target in targets if target not in ALLOWED[part] and target != part)


@pytest.mark.parametrize("name", sorted(MODULES))
def test_imports_run_one_way(name: str) -> None:
    assert forbidden(name, MODULES[name]) == []


@pytest.mark.parametrize(
    ("name", "line", "found"),
    [
        ("bundler.builder.x", "from bundler.installer.load import f", "bundler.installer"),
        ("bundler.installer.x", "def f():\n    import bundler.builder.recipe", "bundler.builder"),
        ("bundler.core.x", "from bundler import installer", "bundler.installer"),
        ("bundler.core.x", "from ..cli.main import run", "bundler.cli"),
    ],
)
def test_a_wrong_import_is_found(name: str, line: str, found: str, tmp_path: Path) -> None:
    path = tmp_path / "x.py"
    path.write_text(line)
    assert forbidden(name, path) == [found]


def top_level_imports(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


TRAVELLING = sorted(path for path in travelling(ROOT) if path.suffix == ".py")


@pytest.mark.parametrize("path", TRAVELLING, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_travels_imports_only_what_travels_with_it(path: Path) -> None:
    name = next(name for name, known in MODULES.items() if known == path)
    packages = {imported.partition(".")[0] for imported in imports.imports_of(name, path)}
    typing_only = {"_typeshed"}
    assert packages - sys.stdlib_module_names - CARRIED - STANDARD_SINCE_39 - typing_only - {"bundler"} == set()


@pytest.mark.parametrize("path", TRAVELLING, ids=lambda path: str(path.relative_to(ROOT)))
def test_compiled_packages_are_imported_late(path: Path) -> None:
    assert "zstandard" not in set(top_level_imports(ast.parse(path.read_text(encoding="utf-8"))))


@pytest.mark.parametrize("name", sorted(name for name in MODULES if part_of(name) not in {"bundler.cli", None}))
def test_nothing_below_cli_prints(name: str) -> None:
    tree = ast.parse(MODULES[name].read_text(encoding="utf-8"))
    called = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    printed = [f"print, line {func.lineno}" for func in called if isinstance(func, ast.Name) and func.id == "print"]
    streams = [
        f"sys.{node.attr}, line {node.lineno}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr in {"stdout", "stderr"}
        if isinstance(node.value, ast.Name) and node.value.id == "sys"
    ]
    echoed = [target for target in imports.imports_of(name, MODULES[name]) if target.partition(".")[0] == "click"]
    assert printed + streams + echoed == []
