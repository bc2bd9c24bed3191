"""The project as package indexes have it."""

from __future__ import annotations

import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Literal

ROOT = Path(__file__).parents[2]


def made(target: Literal["sdist", "wheel"], source: Path, place: Path) -> Path:
    """The distribution that the build backend makes of ``source`` in the directory ``place``."""
    argv = [sys.executable, "-m", "hatchling", "build", "--target", target, "--directory", str(place)]
    done = subprocess.run(argv, cwd=source, capture_output=True, text=True, check=False, timeout=900)
    assert done.returncode == 0, done.stderr
    return next(place.glob("*.tar.gz" if target == "sdist" else "*.whl"))


def wheel_of_sdist(place: Path) -> Path:
    """The wheel made from the sdist, as indexes and distributors make it: nothing of the checkout is there any more."""
    with tarfile.open(made("sdist", ROOT, place)) as archive:
        archive.extractall(place, filter="data")
    (unpacked,) = (path for path in place.iterdir() if path.is_dir())
    return made("wheel", unpacked, place)
