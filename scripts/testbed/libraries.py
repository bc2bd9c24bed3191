"""Python libraries for images of the test bed: the real ones, installed once into a directory of the cache."""

from __future__ import annotations

import fcntl
import hashlib
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from testbed.weights import cache_folder

#: What loads a tokenizer and a config as services do: no torch, which is 200 MB and shows nothing more.
TRANSFORMERS = ("transformers==5.24.0", "huggingface_hub==2.4.0", "tokenizers==0.23.3")


def site_packages(requirements: Sequence[str] = TRANSFORMERS, python: str = "3.11") -> Path:
    """A directory for ``PYTHONPATH`` of a Linux image with Python ``python``; downloads the first time.

    Raises RuntimeError with pip's own words when the libraries can't be had.
    """
    key = hashlib.sha256("\n".join([python, *requirements]).encode()).hexdigest()[:12]
    target = cache_folder() / f"site-packages-{key}"
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.is_dir():
            with tempfile.TemporaryDirectory(dir=target.parent, prefix=".site-") as scratch:
                content = Path(scratch) / "content"
                _install(requirements, python, content)
                content.rename(target)
    return target


def _install(requirements: Sequence[str], python: str, target: Path) -> None:
    """By pip, which knows this machine's index, proxies and certificates."""
    options = ["--target", str(target), "--python-version", python, "--only-binary", ":all:", "--quiet", "--no-compile"]
    command = [sys.executable, "-m", "pip", "install", *options, *requirements]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode:
        raise RuntimeError(f"pip could not install {', '.join(requirements)}:\n{run.stderr.strip()}")


if __name__ == "__main__":
    print(site_packages())
