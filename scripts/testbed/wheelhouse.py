"""A directory of wheels, as ``bundler build --wheelhouse`` takes it: what a recipe asks for, with the CPU build of torch.

Downloaded on the host, where pip finds the CPU build (``PIP_FIND_LINKS``); inside of a build the index's own would come,
with several GB of CUDA.
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from testbed.weights import cache_folder


def wheelhouse(requirements: Sequence[str]) -> Path:
    """Wheels for ``requirements`` and all that they depend on; with torch 300 MB are downloaded the first time.

    For the Python that runs this. Raises RuntimeError with pip's own words where they cannot be had.
    """
    key = hashlib.sha256("\n".join([sys.version, *requirements]).encode()).hexdigest()[:12]
    target = cache_folder() / f"wheelhouse-{key}"
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.is_dir():
            with tempfile.TemporaryDirectory(dir=target.parent, prefix=".wheelhouse-") as scratch:
                content = Path(scratch) / "content"
                _download(requirements, content)
                content.rename(target)
                target.chmod(0o755)
    return target


def _download(wanted: Sequence[str], target: Path) -> None:
    options = ["--only-binary", ":all:", "--quiet", "--dest", str(target)]
    command = [sys.executable, "-m", "pip", "download", *options, *wanted]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode:
        shutil.rmtree(target, ignore_errors=True)
        raise RuntimeError(f"pip could not download {', '.join(wanted)}:\n{run.stderr.strip()}")
