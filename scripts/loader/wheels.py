"""The wheels that the loader carries: pinned by hash, fetched once with pip into the test bed's cache."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path

REQUIREMENTS = Path(__file__).resolve().parents[1] / "loader-requirements.txt"
# Python 3.14 reads zstd by itself.
PYTHONS = ("3.9", "3.10", "3.11", "3.12", "3.13")
PLATFORMS = ("manylinux2014_x86_64", "manylinux2014_aarch64")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


class LoaderError(Exception):
    """The loader cannot be made; the message says why and what to do."""


def cached_wheels() -> list[Path]:
    """Every wheel that the requirements pin, each with a pinned digest; fetches what the cache lacks."""
    cache = Path(os.environ.get("BUNDLER_TEST_CACHE") or Path.home() / ".cache" / "bundler-testbed") / "wheels"
    cache.mkdir(parents=True, exist_ok=True)
    wanted = set(_HASH.findall(REQUIREMENTS.read_text(encoding="utf-8")))
    found = _by_digest(cache, wanted)
    if len(found) < len(wanted):
        _fetch(cache)
        found = _by_digest(cache, wanted)
    if missing := sorted(wanted - set(found)):
        raise LoaderError(f"pip brought no wheel for these digests of {REQUIREMENTS.name}: {', '.join(missing)}")
    return sorted(found.values(), key=lambda path: path.name)


def _by_digest(cache: Path, wanted: set[str]) -> dict[str, Path]:
    digests = {hashlib.sha256(path.read_bytes()).hexdigest(): path for path in sorted(cache.glob("*.whl"))}
    return {digest: path for digest, path in digests.items() if digest in wanted}


def _fetch(cache: Path) -> None:
    for platform in PLATFORMS:
        for python in PYTHONS:
            target = ["--platform", platform, "--python-version", python, "--implementation", "cp"]
            target += ["--abi", f"cp{python.replace('.', '')}"]
            _pip("download", "--quiet", "--no-deps", "--require-hashes", "--only-binary=:all:", *target,
                 "--dest", str(cache), "--requirement", str(REQUIREMENTS))  # fmt: skip


def _pip(*arguments: str) -> None:
    done = subprocess.run([sys.executable, "-m", "pip", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise LoaderError(f"pip {' '.join(arguments)} failed:\n{done.stderr.strip()[-2000:]}")
