"""A small model as its repo holds it, and the recipe's words for it: for tests of where models come from."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

from bundler.builder.recipe_models import ModelSpec
from tests.support.safetensors_files import safetensors_file

REPO = "acme/tiny"
CARD = "---\nlicense: other\nlicense_name: tiny-1\nlicense_link: LICENSE.md\nlibrary_name: tests\n---\n# A card\n"
LICENSE = "Do as you like.\n"


def write_repo(directory: Path, size: int = 70_000, seed: int = 1) -> Path:
    """Weights of ``size`` bytes in LFS, small files in git, a card and terms."""
    (directory / "1_Pooling").mkdir(parents=True)
    (directory / "config.json").write_text('{"hidden_size": 8}\n')
    (directory / "1_Pooling" / "config é.json").write_text("{}\n")
    safetensors_file(directory / "model.safetensors", size, seed)
    (directory / "LICENSE.md").write_text(LICENSE)
    (directory / "README.md").write_text(CARD)
    (directory / ".gitattributes").write_text("*.safetensors filter=lfs diff=lfs merge=lfs -text\n")
    return directory


def wanted(repo: str = REPO, **more: Any) -> ModelSpec:
    """The model as a recipe asks for it."""
    return ModelSpec.model_validate(
        {"name": "tiny", "repo": repo, "path": "/m/tiny", **{k: _frozen(v) for k, v in more.items()}}
    )


def _frozen(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _frozen(each) for key, each in value.items()}
    return tuple(map(_frozen, value)) if isinstance(value, (list, tuple)) else value


def git(*arguments: object, **environment: str) -> str:
    """Run git as nobody in particular; its output."""
    plain = {"PATH": os.environ["PATH"], "GIT_TERMINAL_PROMPT": "0", "HOME": "/nonexistent", "LC_ALL": "C"}
    who = {
        f"GIT_{role}_{what}": f"t{'@h' * (what == 'EMAIL')}"
        for role in ("AUTHOR", "COMMITTER")
        for what in ("NAME", "EMAIL")
    }
    done = subprocess.run(
        ["git", "-c", "init.defaultBranch=main", *map(str, arguments)],
        env={**plain, **who, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
