"""llama.cpp's server as an image of it has it: a root file system with the program at ``/app/llama-server`` and no shell.

Debian has it from forky on. Its packages are unpacked and not installed: what the server links to is all that is there.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from testbed.debian import Prepared, cache_dir, locked, pack, unpack
from testbed.trees import workplace

_PACKAGES = (
    *("libc6", "libgcc-s1", "libgomp1", "libstdc++6", "libssl3t64", "libzstd1", "zlib1g"),
    *("libggml0", "libllama0", "llama.cpp-tools"),
)


def llm_server_rootfs() -> Prepared:
    """The root file system as a tar; 15 MB are downloaded the first time. Raises TestbedError where they can't be."""
    began = time.monotonic()
    packages = unpack("forky", _PACKAGES)
    tar = cache_dir() / f"llm-server-{packages.path.name}.tar"
    with locked(tar.stem):
        if not tar.exists():
            with workplace(tar.with_suffix(".work")) as work:
                pack(_laid_out(packages.path, work / "root"), tar)
    return Prepared("llm server", tar, packages.versions, time.monotonic() - began)


def _laid_out(packages: Path, root: Path) -> Path:
    """The packages' files, the links of a merged /usr, and the program where llama.cpp's own image has it."""
    shutil.copytree(packages, root, symlinks=True, ignore=shutil.ignore_patterns("doc", "versions.json"))
    for name in ("lib", "lib64", "bin"):
        (root / name).symlink_to(f"usr/{name}")
    (root / "app").mkdir()
    (root / "app" / "llama-server").symlink_to("/usr/bin/llama-server")
    for name in ("dev", "proc", "sys", "tmp"):
        (root / name).mkdir()
    return root
