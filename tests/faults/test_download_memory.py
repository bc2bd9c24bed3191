"""Memory of a download does not grow with its files: many side by side, all of its processes together."""

from __future__ import annotations

import subprocess
import threading
from pathlib import Path

import pytest

from testbed.hub import Hub
from testbed.hub_repo import HubRepo
from tests.support.download_world import REPO
from tests.support.fetch_site import FetchSite
from tests.support.safetensors_files import safetensors_file

LIMIT = 256 << 20
FILES = 8


def resident(pid: int) -> dict[int, int]:
    """Bytes in memory of a process and its descendants, by pid; what they share is counted for each."""
    found = {}
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        found[pid] = int(status.partition("VmRSS:")[2].split()[0]) << 10
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found.update(resident(int(child)))
    except (OSError, IndexError, ValueError):
        pass  # it has just ended
    return found


def peak_of(process: subprocess.Popen[str]) -> int:
    """The largest sum until it ends."""
    peak, ended = 0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not ended.wait(0.02):
            peak = max(peak, sum(resident(process.pid).values()))

    thread = threading.Thread(target=watch)
    thread.start()
    output, complaint = process.communicate()
    ended.set()
    thread.join()
    assert process.returncode == 0, complaint
    assert output
    return peak


def require_small(root: Path, size: int) -> None:
    content = root / "repo"
    content.mkdir()
    (content / "config.json").write_text('{"hidden_size": 8}\n')
    for number in range(FILES):
        name = f"model-{number + 1:05}-of-{FILES:05}.safetensors"
        safetensors_file(content / name, size, number, sparse=True)
    with Hub([HubRepo(REPO, content)]) as hub:
        site = FetchSite(root, hub)
        peak = peak_of(site.start("--connections", "16"))
        assert hub.sent() >= FILES * size
        assert sum(path.stat().st_size for path in site.store.objects.rglob("*") if path.is_file()) >= FILES * size
    print(f"{FILES} files of {size >> 20} MiB: {peak >> 20} MiB at most")
    assert peak <= LIMIT


def test_eight_files_side_by_side(tmp_path: Path) -> None:
    require_small(tmp_path, 64 << 20)


@pytest.mark.soak
def test_eight_files_of_1_gib(tmp_path: Path) -> None:
    require_small(tmp_path, 1 << 30)
