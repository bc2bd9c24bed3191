"""An interpreter with exactly the libraries of a recipe's image: its requirements.txt, installed as its Dockerfile does."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from testbed.weights import cache_folder

_OPTIONS = ("--no-deps", "--only-binary", ":all:", "--require-hashes", "--quiet", "--disable-pip-version-check")


def recipe_python(recipe: Path) -> Path:
    """The interpreter of a virtual environment in the cache; downloads the first time.

    Raises RuntimeError with pip's own words when a library can't be had.
    """
    requirements = recipe / "requirements.txt"
    key = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()[:12]
    folder = cache_folder() / f"{recipe.name}-venv-{key}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = folder / "bundler-complete"
        if not done.is_file():
            shutil.rmtree(folder, ignore_errors=True)
            _run(sys.executable, "-m", "venv", str(folder))
            _run(str(folder / "bin" / "python"), "-m", "pip", "install", *_OPTIONS, "--requirement", str(requirements))
            done.touch()
    return folder / "bin" / "python"


def _run(*command: str) -> None:
    with tempfile.TemporaryDirectory(prefix="pip-") as elsewhere:
        run = subprocess.run(command, cwd=elsewhere, capture_output=True, text=True, check=False)
    if run.returncode:
        raise RuntimeError(f"{' '.join(command[:4])} ended with {run.returncode}:\n{run.stderr.strip()[-4000:]}")
