"""The downloaders over a real socket: what they resume, notice and keep to themselves, and what they cost."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from bundler.builder.hub.limits import HaltedError, Limits
from bundler.builder.hub.part import Part
from bundler.builder.hub.retry import TransientError
from bundler.builder.hub.source import HttpFile
from bundler.builder.lock import LockedFile
from bundler.core.errors import DownloadError
from testbed.hub import Hub
from testbed.hub_faults import Fault, Kind
from testbed.hub_line import Line
from testbed.hub_repo import HubRepo
from tests.support.bringing import MIB, PATH, PATIENT, QUICK, REPO, Bringing, write_weights
from tests.support.download_world import in_time

ROOT = Path(__file__).resolve().parents[2]
SIZE = 48 * MIB + 12345
#: What of a file of that size is asked for at once.
RANGE = 7 * MIB
LFS = f"/lfs/*/{PATH}"


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, LockedFile]:
    directory = tmp_path_factory.mktemp("weights") / "repo"
    return directory, write_weights(directory / PATH, SIZE)


@pytest.fixture
def hub(weights: tuple[Path, LockedFile]) -> Iterator[Hub]:
    with Hub([HubRepo(REPO, weights[0])], tokens=["hf_secret"]) as server:
        yield server


@pytest.fixture
def bringing(hub: Hub, weights: tuple[Path, LockedFile], tmp_path: Path) -> Bringing:
    part = Part(tmp_path / "partial" / "weights")
    return Bringing(weights[1], HttpFile(address(hub), hub=True), part, Limits.of(PATIENT))


def address(hub: Hub) -> str:
    return f"{hub.endpoint}/{REPO}/resolve/main/{PATH}"


def require_whole(bringing: Bringing) -> None:
    assert hashlib.sha256(bringing.part.path.read_bytes()).hexdigest() == bringing.file.sha256


def sent(hub: Hub) -> int:
    return sum(seen.sent for seen in hub.requests("/lfs/"))


@pytest.mark.parametrize("way", ["auto", "ranged", "hf_transfer", "xet", "hub"])
def test_every_way_brings_the_file_and_its_digests(hub: Hub, bringing: Bringing, way: str) -> None:
    digests = bringing.bring(way)
    assert digests.fit()
    require_whole(bringing)
    assert SIZE - 64 <= bringing.task.size <= SIZE, "hf_transfer's own count is some bytes short"
    assert sent(hub) <= SIZE + 2


def stopped_once(true: Callable[[], bool], bringing: Bringing) -> None:
    """Bring the file, and stop the run as soon as that is so."""
    with ThreadPoolExecutor(1) as pool:
        brought: Future[object] = pool.submit(bringing.bring)
        while not (true() or brought.done()):
            time.sleep(0.01)
        bringing.limits.halt.set()
        with pytest.raises(HaltedError):
            brought.result()


def test_ranges_come_side_by_side_in_ascending_order_from_one_redirect(hub: Hub, bringing: Bringing) -> None:
    """While one connection hears nothing more of the first range, the other one brings all that follow."""
    hub.faults.add(Fault(LFS, Kind.STALL, after=MIB, stall_s=3600))
    bringing.limits = Limits.of(PATIENT, connections=2)
    stopped_once(lambda: sent(hub) == SIZE - RANGE + MIB, bringing)
    starts = [int(str(seen.range).removeprefix("bytes=").partition("-")[0]) for seen in hub.requests("/lfs/")]
    assert starts == [RANGE * number for number in range(7)]
    assert len(hub.requests("/resolve/")) == 1


@pytest.mark.parametrize("way", ["hf_transfer", "hub"])
def test_what_another_way_leaves_is_resumed_by_ranges(hub: Hub, bringing: Bringing, way: str) -> None:
    if way == "hub":
        hub.faults.add(Fault(LFS, Kind.CUT, after=16 * MIB), Fault(LFS, Kind.STATUS, skip=2, times=None))
    else:  # which asks for the ranges in any order: the last ones do not come
        hub.faults.add(Fault(LFS, Kind.STALL, after=1, from_byte=40 * MIB, times=None, stall_s=3600))
        bringing.limits = Limits.of(replace(PATIENT, stall_window_s=10))
    with pytest.raises(TransientError, match="hf_transfer brought" if way == "hf_transfer" else "hub: .*503"):
        bringing.bring(way)
    hub.faults.clear()
    here = bringing.part.here()
    assert here >= (8 if way == "hub" else 32) * MIB, "what came without a gap is kept"
    hub.forget_requests()
    assert bringing.bring(way, attempt=2).fit()
    assert sent(hub) <= SIZE - here
    require_whole(bringing)


def test_ranges_that_are_ignored_make_one_stream_that_keeps_what_it_has(hub: Hub, bringing: Bringing) -> None:
    hub.faults.add(Fault(LFS, Kind.CUT, times=2, after=3 * MIB), Fault(LFS, Kind.STATUS, skip=2, times=None))
    with pytest.raises(TransientError, match="503"):
        bringing.bring()
    here = bringing.part.here()
    assert 3 * MIB <= here < SIZE
    hub.faults.clear()
    hub.faults.add(Fault(LFS, Kind.NO_RANGES, times=None))
    hub.forget_requests()
    assert bringing.bring().fit()
    assert [seen.status for seen in hub.requests("/lfs/")] == [200]
    assert bringing.task.size == SIZE


def test_a_file_that_changes_while_it_comes_is_noticed(hub: Hub, bringing: Bringing) -> None:
    hub.faults.add(Fault(LFS, Kind.NEW_ETAG, skip=2))
    with pytest.raises(TransientError, match="has changed the file while it was read"):
        bringing.bring()
    assert hub.faults.struck(Kind.NEW_ETAG) == 1
    assert bringing.bring().fit()


def test_a_range_of_another_length_is_noticed(hub: Hub, bringing: Bringing) -> None:
    hub.faults.add(Fault(LFS, Kind.WRONG_LENGTH, skip=2))
    with pytest.raises(TransientError, match=f"has {SIZE - 1:,} bytes for this file, which has {SIZE:,} in the lock"):
        bringing.bring()
    assert bringing.bring().fit()


def test_one_connection_in_trouble_does_not_end_the_others(hub: Hub, bringing: Bringing) -> None:
    hub.faults.add(
        Fault(LFS, Kind.STATUS, skip=1, times=3, status=503),
        Fault(LFS, Kind.SLOW, times=None, bytes_per_s=16 * MIB),
    )
    assert bringing.bring().fit()
    assert hub.faults.struck(Kind.STATUS) == 3
    assert sent(hub) < 1.01 * SIZE


def test_a_connection_that_trickles_is_dropped(hub: Hub, bringing: Bringing) -> None:
    hub.faults.add(Fault(LFS, Kind.SLOW, times=2, after=MIB, bytes_per_s=200))
    bringing.limits = Limits.of(replace(PATIENT, stall_window_s=1))
    digests = in_time(bringing.bring, bringing.limits.halt.set, limit_s=600)  # the trickles alone would take hours
    assert digests.fit()
    assert hub.faults.struck(Kind.SLOW) == 2


def test_an_address_that_expires_is_asked_for_anew(hub: Hub, bringing: Bringing) -> None:
    hub.faults.add(Fault(LFS, Kind.EXPIRED, skip=2), Fault(LFS, Kind.EXPIRED, skip=4))
    bringing.limits = Limits.of(PATIENT, connections=1)
    assert bringing.bring().fit()
    assert hub.faults.struck(Kind.EXPIRED) == 2
    assert len(hub.requests("/resolve/")) == 3
    assert sent(hub) <= SIZE + 1000


@pytest.mark.parametrize("way", ["ranged", "hf_transfer", "hub"])
def test_the_token_goes_to_the_hub_alone(hub: Hub, bringing: Bringing, way: str) -> None:
    bringing.remote = HttpFile(address(hub), {"authorization": "Bearer hf_secret"}, hub=True)
    if way == "hub":
        bringing.remote = HttpFile(address(hub).replace("127.0.0.1", "localhost"), bringing.remote.headers, hub=True)
    assert bringing.bring(way).fit()
    assert all(seen.authorized for seen in hub.requests(server="hub"))
    assert not any(seen.authorized for seen in hub.requests(server="cdn"))
    assert "hf_secret" not in repr(bringing)


def test_the_token_of_one_origin_is_not_shown_to_another(
    hub: Hub, weights: tuple[Path, LockedFile], bringing: Bringing
) -> None:
    with Hub([HubRepo(REPO, weights[0])], cdn_base=hub.endpoint, tokens=["hf_secret"]) as other:
        bringing.remote = HttpFile(address(other), {"authorization": "Bearer hf_secret", "X-Key": "k"}, hub=True)
        with pytest.raises(DownloadError):
            bringing.bring()
    assert hub.requests("/lfs/")
    assert not any(seen.authorized for seen in hub.requests())


def test_no_answer_is_a_refusal_that_says_what_to_do(hub: Hub, bringing: Bringing) -> None:
    bringing.remote = HttpFile(address(hub), {"authorization": "Bearer wrong"}, hub=True)
    with pytest.raises(DownloadError, match="wants to know who asks") as caught:
        bringing.bring()
    assert "wrong" not in str(caught.value)
    bringing.remote = HttpFile(f"{hub.endpoint}/{REPO}/resolve/main/none.bin", hub=True)
    with pytest.raises(DownloadError, match="the locked file is not there"):
        bringing.bring()


def test_a_run_that_is_stopped_stops_at_once_and_keeps_what_came(hub: Hub, bringing: Bringing) -> None:
    hub.faults.add(Fault(LFS, Kind.STALL, times=None, after=MIB, stall_s=3600))
    stopped_once(lambda: bringing.part.here() > 0, bringing)
    assert 0 < bringing.part.here() < SIZE


@pytest.mark.parametrize("way", ["auto", "ranged", "hf_transfer", "xet", "hub"])
def test_the_bandwidth_is_limited_whatever_was_asked_for(hub: Hub, bringing: Bringing, way: str) -> None:
    bringing.limits = Limits.of(PATIENT, limit_rate=24 * MIB)
    began = time.monotonic()
    assert bringing.bring(way).fit()
    assert time.monotonic() - began > 0.9 * SIZE / (24 * MIB)


def test_hf_transfer_that_stands_still_is_ended(hub: Hub, bringing: Bringing) -> None:
    hub.faults.add(Fault(LFS, Kind.STALL, times=None, skip=3, after=1000, stall_s=3600))
    bringing.limits = Limits.of(QUICK)
    with pytest.raises(TransientError, match=r"hf_transfer brought .* bytes in 1 s"):
        bringing.bring("hf_transfer")
    assert not transferring()


def transferring() -> list[str]:
    """Processes of hf_transfer that we started and that go on; engines are our children too."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
            if parent == str(os.getpid()) and b"hf_transfer" in (folder / "cmdline").read_bytes():
                found.append(folder.name)
    return found


class Dam(Line):
    """A line that carries nothing more once it has carried what it was last told to; who waits then, waits for good."""

    _passed = _highest = 0

    def let_through(self, size: int) -> None:
        """From now on, ``size`` bytes more."""
        with self._lock:
            self._highest = self._passed + size

    def delay_s(self, size: int) -> float:
        with self._lock:
            self._passed += size
            held = self._passed > self._highest
        return 3600.0 if held else super().delay_s(size)


def killed_in_the_middle(size: int, kills: int, bytes_per_s: int, tmp_path: Path) -> None:
    """Kill a download at places spread over it, then let it end; what the server sent stays below 1.2 x the file.

    A little behind each place the server sends nothing more, so that the kill comes before the end on any host.
    """
    file = write_weights(tmp_path / "repo" / PATH, size)
    part = Part(tmp_path / "partial" / "weights")
    part.path.parent.mkdir()
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT}/scripts"}
    with Hub([HubRepo(REPO, tmp_path / "repo")], all_bytes_per_s=bytes_per_s) as hub:
        hub.line = dam = Dam(bytes_per_s)
        argv = [sys.executable, "-m", "tests.support.bringing", address(hub)]
        argv += [str(part.path), str(size), str(file.sha256)]
        for number in range(kills):
            until = int(size * (0.05 + 0.9 * number / max(1, kills - 1)))
            dam.let_through(until - part.here() + 2 * MIB)  # some of it is on the way, and not here
            with subprocess.Popen(argv, cwd=ROOT, env=environment) as process:
                while part.here() < until:
                    assert process.poll() is None, "it was to be killed in the middle"
                    time.sleep(0.01)
                process.send_signal(signal.SIGKILL)
            assert until <= part.here() < size
        dam.let_through(size)
        done = subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, check=False)
        assert done.stdout.decode().strip() == file.sha256, done.stderr.decode()
        assert hashlib.sha256(part.path.read_bytes()).hexdigest() == file.sha256
        assert sent(hub) < 1.2 * size
        print(f"sent {sent(hub) / size:.3f} of the file after {kills} kills")


def test_kill_9_four_times_costs_next_to_nothing(tmp_path: Path) -> None:
    killed_in_the_middle(128 * MIB, 4, 48 * MIB, tmp_path)


@pytest.mark.soak
def test_kill_9_twenty_times_costs_next_to_nothing(tmp_path: Path) -> None:
    killed_in_the_middle(1024 * MIB, 20, 96 * MIB, tmp_path)


_SIDE_BY_SIDE = """
import sys, threading
from pathlib import Path
from bundler.builder.hub.limits import Limits
from bundler.builder.hub.part import Part
from bundler.builder.hub.source import HttpFile
from bundler.builder.lock import LockedFile
from tests.support.bringing import PATIENT, Bringing
url, folder, size, sha256 = sys.argv[1:]
file = LockedFile(path="model.safetensors", size=int(size), sha256=sha256, git_sha1=None)
limits, right = Limits.of(PATIENT), []
def bring(number):
    part = Part(Path(folder) / str(number))
    right.append(Bringing(file, HttpFile(url, hub=True), part, limits).bring().fit())
    part.discard()
threads = [threading.Thread(target=bring, args=(number,)) for number in range(8)]
for each in threads: each.start()
for each in threads: each.join()
assert right == [True] * 8, right
lines = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
print(lines["VmHWM"].split()[0])  # ru_maxrss would be that of the process that started this one
"""


def memory_of_eight(size: int, tmp_path: Path) -> int:
    """Bytes of memory that a process takes at most for eight files side by side."""
    file = write_weights(tmp_path / "repo" / PATH, size)
    (tmp_path / "partial").mkdir()
    with Hub([HubRepo(REPO, tmp_path / "repo")]) as hub:
        argv = [sys.executable, "-c", _SIDE_BY_SIDE, address(hub), str(tmp_path / "partial"), str(size)]
        environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT}/scripts"}
        done = subprocess.run(
            [*argv, str(file.sha256)], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )
    assert done.returncode == 0, done.stderr
    print(f"{int(done.stdout) >> 10} MiB for 8 files of {size // MIB} MiB")
    return int(done.stdout) << 10


def test_memory_stays_flat_with_eight_files_side_by_side(tmp_path: Path) -> None:
    assert memory_of_eight(96 * MIB, tmp_path) < 160 * MIB


@pytest.mark.soak
def test_memory_stays_flat_with_eight_files_of_a_gibibyte(tmp_path: Path) -> None:
    assert memory_of_eight(1024 * MIB, tmp_path) < 256 * MIB
