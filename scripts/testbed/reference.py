"""The independent reference for embeddings: sentence-transformers on torch, in a virtual environment of its own.

It is large (1.4 GB with the CPU build of torch), so it stays out of the development environment and is kept in the
test bed's cache.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from testbed.weights import cache_folder

#: torch first and alone, so that pip takes a CPU build where one is offered (PIP_FIND_LINKS) and not what another
#: package would ask for.
PACKAGES = (("torch==2.13.0",), ("sentence-transformers==6.2.0", "transformers==5.24.0"))
_PROGRAM = """
import json, sys
from sentence_transformers import SentenceTransformer
asked = json.load(sys.stdin)
model = SentenceTransformer(asked["model"], device="cpu", local_files_only=True)
json.dump([model.encode(asked["sentences"], batch_size=size).tolist() for size in asked["batch_sizes"]], sys.stdout)
"""


def reference_python() -> Path:
    """The interpreter of the reference environment; makes it the first time (about a minute).

    Raises RuntimeError with pip's words when the packages can't be had.
    """
    folder = cache_folder() / "reference-venv"
    wanted = " ".join([sys.version.split()[0], *(name for group in PACKAGES for name in group)])
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = folder / "bundler-reference.txt"
        if not done.is_file() or done.read_text() != wanted:
            _make(folder)
            done.write_text(wanted)
    return folder / "bin" / "python"


def reference_packages(python: str) -> Path:
    """The directory of its libraries, for ``PYTHONPATH`` of a Linux image with Python ``python`` (``3.11``).

    Raises RuntimeError where it was made with another Python, whose compiled libraries do not load there.
    """
    packages = reference_python().parents[1] / "lib" / f"python{python}" / "site-packages"
    if not packages.is_dir():
        raise RuntimeError(f"the reference environment is not one of Python {python}: run the tests on Debian 12")
    return packages


def reference_embeddings(model: Path, sentences: Sequence[str], batch_sizes: Sequence[int]) -> list[list[list[float]]]:
    """What sentence-transformers makes of the sentences, without any network: for each batch size a row a sentence."""
    asked = json.dumps({"model": str(model), "sentences": list(sentences), "batch_sizes": list(batch_sizes)})
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": ""}
    output = _run([str(reference_python()), "-c", _PROGRAM], stdin=asked, environment=environment)
    return cast("list[list[list[float]]]", json.loads(output))


def _make(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    _run([sys.executable, "-m", "venv", str(folder)])
    for packages in PACKAGES:
        _run([str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", *packages])


def _run(command: Sequence[str], *, stdin: str = "", environment: dict[str, str] | None = None) -> str:
    run = subprocess.run(command, input=stdin, env=environment, capture_output=True, text=True, check=False)
    if run.returncode:
        raise RuntimeError(f"{' '.join(command[:6])} ended with {run.returncode}:\n{run.stderr.strip()[-4000:]}")
    return run.stdout


if __name__ == "__main__":
    print(reference_python())
