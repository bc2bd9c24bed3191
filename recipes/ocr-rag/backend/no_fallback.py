"""Whether this image's code could take a model from anywhere but its own directories.

    python -m backend.no_fallback

``bundler lint`` reads the sources with care where they are built. This is a second look, where the image alone is at hand:
no repository of the lock is named, and whatever could download is told, where it is called, to take local files only.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Collection, Iterator
from pathlib import Path

from backend.errors import ServiceError, run
from backend.settings import Settings

_HUB = re.compile(r"\b(huggingface|hf)\.co\b")
_LOADERS = {"from_pretrained", "SentenceTransformer", "CrossEncoder", "snapshot_download", "hf_hub_download"}
#: Its names lead to folders of the cache: the library calls its models so.
_NAMES_REPOS = "yomitoku_models.py"


def main() -> int:
    """Look at the application and its backend. Raises ServiceError that names each place."""
    root = Path(__file__).resolve().parents[1]
    files = [root / "app.py", *sorted((root / "backend").rglob("*.py"))]
    repos = repos_of(Settings.from_environment().lock)
    found = [fault for file in files for fault in faults(file, repos)]
    if found:
        raise ServiceError("\n".join(["code that could lead to the Hub:", *found]))
    print(f"{len(files)} files name no repository and load local files only")
    return 0


def repos_of(lock: Path) -> set[str]:
    """The repositories of the lock, as the recipe asks for them and as the Hub calls them."""
    models = json.loads(lock.read_text("utf-8"))["models"]
    return {repo for model in models for repo in (model["repo_id"], model.get("canonical_id")) if repo}


def faults(file: Path, repos: Collection[str]) -> Iterator[str]:
    """Each place in the program ``file`` that names the Hub or one of ``repos``, or loads without ``local_files_only``."""
    named = () if file.name == _NAMES_REPOS else repos
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from (f"{file}:{node.lineno}: names {repo}" for repo in _named_in(node.value, named))
        elif isinstance(node, ast.Call) and _name(node.func) in _LOADERS and not _is_local(node):
            yield f"{file}:{node.lineno}: {_name(node.func)} without local_files_only=True"


def _named_in(text: str, repos: Collection[str]) -> list[str]:
    hub = _HUB.search(text)
    return [*([hub[0]] if hub else []), *(repo for repo in repos if repo.lower() in text.lower())]


def _name(called: ast.expr) -> str:
    return called.attr if isinstance(called, ast.Attribute) else called.id if isinstance(called, ast.Name) else ""


def _is_local(call: ast.Call) -> bool:
    given = {each.arg: each.value for each in call.keywords}
    value = given.get("local_files_only")
    return isinstance(value, ast.Constant) and value.value is True


if __name__ == "__main__":
    run(main)
