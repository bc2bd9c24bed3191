"""Making root file systems, and what is left where that is killed: with a debootstrap that mounts, and then hangs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed import debian
from testbed.trees import remove_tree
from tests.support.waiting import wait_until

SCRIPTS = Path(__file__).parents[2] / "scripts"
PROGRAM = "from testbed import debian; print(debian.rootfs('bookworm', ['little']).path)"
DEBOOTSTRAP = """\
#!/bin/sh
for argument; do case $argument in */root) root=$argument;; esac; done
mkdir -p "$root/proc" "$root/var/lib/dpkg"
printf 'Package: little\\nStatus: install ok installed\\nVersion: 1.5\\n' > "$root/var/lib/dpkg/status"
mount -t proc proc "$root/proc"
touch "$SIGNS/mounted"
while [ -e "$SIGNS/hang" ]; do sleep 0.2; done
umount "$root/proc"
"""


@pytest.fixture
def signs(tmp_path: Path) -> Iterator[Path]:
    """Where the program says how far it is, and is told to hang."""
    debian.install_host_packages()
    folder = tmp_path / "signs"
    folder.mkdir()
    program = tmp_path / "bin" / "debootstrap"
    program.parent.mkdir()
    program.write_text(DEBOOTSTRAP)
    program.chmod(0o755)
    yield folder
    (folder / "hang").unlink(missing_ok=True)
    remove_tree(tmp_path / "cache")


def environment(signs: Path) -> dict[str, str]:
    root = signs.parent
    path = f"{root / 'bin'}:{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "SIGNS": str(signs), "BUNDLER_TEST_CACHE": str(root / "cache")}


def remains(folder: Path) -> list[str]:
    """Mounts below ``folder`` in the host's name space, and programs that work there."""
    mounts = [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if f"{folder}/" in line]
    shown = subprocess.run(["ps", "-e", "-o", "args="], capture_output=True, text=True, check=True).stdout
    return mounts + [line for line in shown.splitlines() if f"{folder}/" in line]


@pytest.mark.engine
def test_a_killed_run_leaves_no_mount_and_no_program_and_the_next_its_folder_neither(signs: Path) -> None:
    cache = signs.parent / "cache"
    (signs / "hang").touch()
    argv = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(SCRIPTS)!r}); {PROGRAM}"]
    with subprocess.Popen(argv, env=environment(signs), stdout=subprocess.DEVNULL) as process:
        wait_until((signs / "mounted").exists, patience_s=120)
        process.send_signal(signal.SIGKILL)
    wait_until(lambda: remains(signs.parent) == [], patience_s=120)
    assert [path.name for path in cache.iterdir() if path.is_dir()], "it was in the middle"
    (signs / "hang").unlink()
    done = subprocess.run(argv, env=environment(signs), capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    tar = Path(done.stdout.strip())
    assert sorted(path.name for path in cache.iterdir() if not path.name.startswith(".")) == [
        f"{tar.stem}.json",
        tar.name,
    ]
    assert remains(signs.parent) == []
