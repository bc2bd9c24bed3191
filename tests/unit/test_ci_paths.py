"""What the public CI and the hooks call is there: a renamed script must not be found out after a push."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from bundler.builder.yaml_source import plain, read_yaml

ROOT = Path(__file__).parents[2]
WORKFLOW = ".github/workflows/ci.yml"
HOOKS = ".pre-commit-config.yaml"


def document(name: str) -> Any:
    return plain(read_yaml((ROOT / name).read_bytes(), name).document)


def commands() -> Iterator[tuple[str, str]]:
    """Every command line, with the file that it stands in."""
    for job in document(WORKFLOW)["jobs"].values():
        yield from ((WORKFLOW, step["run"]) for step in job["steps"] if "run" in step)
    for repo in document(HOOKS)["repos"]:
        yield from ((HOOKS, hook["entry"]) for hook in repo["hooks"])


def test_there_are_commands_in_both() -> None:
    found = list(commands())
    assert {name for name, _ in found} == {WORKFLOW, HOOKS}
    assert {"./scripts/check --fast", "./scripts/test", "sudo ./scripts/demo"} <= {line for _, line in found}


@pytest.mark.parametrize(("name", "line"), list(commands()))
def test_what_is_called_is_there(name: str, line: str) -> None:
    words = shlex.split(line)
    for word in words:
        if word.startswith("./"):
            assert os.access(ROOT / word, os.X_OK), f"{name}: {word}"
        elif word.startswith(".venv/bin/"):
            # The tests run with the same virtual environment, wherever it stands.
            assert os.access(Path(sys.executable).with_name(Path(word).name), os.X_OK), f"{name}: {word}"
    for module in [after for word, after in zip(words, words[1:]) if word == "-m"]:
        assert find_spec(module), f"{name}: {module}"
