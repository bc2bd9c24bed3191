"""Memory of a build does not grow with its models: measured over a whole build, of bundler and all that it starts."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from testbed.engines import RunningEngine
from tests.support.build_site import REPO, BuildSite, build_site
from tests.support.safetensors_files import HEAD_SIZE, safetensors_head

LIMIT = 256 << 20
GIB = 1 << 30
#: Longer than the window in which zstd finds repetitions (2 MB at level 3), so that the weights do not shrink.
BLOCK_SIZE = 32 << 20
#: The repo, the snapshot, the tar, and room for the others.
COPIES = 3.5


def write_weights(path: Path, size: int) -> None:
    """Bytes that do not compress, made quickly; they are safetensors."""
    block = os.urandom(BLOCK_SIZE)
    with path.open("wb") as stream:
        stream.write(safetensors_head(size))
        stream.write(block[HEAD_SIZE:])
        for _ in range(1, size // BLOCK_SIZE):
            stream.write(block)


@contextmanager
def measured(pid: int) -> Iterator[list[int]]:
    """The largest sum of resident memory of the process and its descendants, in bytes; stands there at the end."""
    peak = [0]
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.05):
            peak[0] = max(peak[0], sum(map(_resident_size, _family(pid))))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield peak
    finally:
        ended.set()
        thread.join()


def _family(pid: int) -> list[int]:
    """Without who is between fork and exec, as long as a busy host leaves it there: its memory is its parent's."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
        tasks = Path(f"/proc/{pid}/task").glob("*/children")
        children = [int(child) for task in tasks for child in task.read_text().split()]
        begun = [child for child in children if Path(f"/proc/{child}/cmdline").read_bytes() != command]
    except OSError:
        return [pid]
    return [pid, *(each for child in begun for each in _family(child))]


def _resident_size(pid: int) -> int:
    """Without what is mapped from files, which processes share and the kernel takes back (proc(5), status)."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) << 10 for line in lines if line.startswith(("RssAnon:", "RssShmem:")))


#: Begins the build from a small process: the kernel's figure carries over what its parent had before ``exec``.
_LAUNCHER = """
import os, pathlib, subprocess, sys
_, status, usage = os.wait4(subprocess.Popen(sys.argv[2:]).pid, 0)
pathlib.Path(sys.argv[1]).write_text(str(usage.ru_maxrss))
sys.exit(os.waitstatus_to_exitcode(status))
"""


def peaks_of_a_build(site: BuildSite, *options: str) -> tuple[int, int]:
    """Bytes: the largest resident set of a single process, and the largest sum over all of them at one time."""
    log, figure = site.root / "build.log", site.root / "peak"
    command = [sys.executable, "-c", _LAUNCHER, str(figure), *site.command(*options)]
    with log.open("wb") as sink:
        process = subprocess.Popen(command, env=site.environment(), stdout=sink, stderr=sink, start_new_session=True)
        with measured(process.pid) as together:
            process.wait(timeout=1200)
    assert process.returncode == 0, log.read_text()
    # The kernel's own figure: the largest of the process and of those of its descendants that were waited for.
    return int(figure.read_text()) << 10, together[0]


def require_small(engine: RunningEngine, root: Path, size: int, *options: str) -> None:
    free = shutil.disk_usage(root).free
    assert free > COPIES * size, f"{free >> 30} GiB are free; this test needs {COPIES * size / GIB:.0f}"
    with build_site(root, engine) as site:
        write_weights(root / "repo" / "model.safetensors", size)
        site.hub.push(REPO, root / "repo")
        single, together = peaks_of_a_build(site, *options)
        packed = (site.kit / f"{site.kit.name}.tar").stat().st_size
        print(
            f"a model of {size >> 20} MiB: {single >> 20} MiB in one process, {together >> 20} MiB in all at one time"
        )
        assert packed > size, "the weights did not shrink"
        assert single <= LIMIT
        assert together <= LIMIT
        for folder in (site.output, site.root / "cache", site.root / "repo"):
            shutil.rmtree(folder)


def test_a_model_far_larger_than_the_limit(docker20: RunningEngine, tmp_path: Path) -> None:
    require_small(docker20, tmp_path, 768 << 20, "--rehearse", "off")


def test_a_build_with_its_rehearsal(docker20: RunningEngine, tmp_path: Path) -> None:
    """As it is typed: the kit is loaded, proved and checked too."""
    require_small(docker20, tmp_path, 320 << 20)


@pytest.mark.soak
def test_a_model_of_4_gib(docker20: RunningEngine, tmp_path: Path) -> None:
    require_small(docker20, tmp_path, 4 * GIB, "--rehearse", "off")
