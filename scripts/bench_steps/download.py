"""``scripts/bench download``: one large file from a server that limits each connection, and from one that does not."""

from __future__ import annotations

import argparse
import os
import resource
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bench_steps.cdn import LIMIT_MB_S, serving
from bench_steps.download_ways import FILE, REPO, resolve_address
from bench_steps.programs import TIMEOUT_S, BenchError
from bench_steps.report import load_average, machine
from bench_steps.weights import write_model
from testbed import TestbedError, debian
from testbed.hub import Hub
from testbed.hub_repo import HubRepo

_MIB = 1 << 20
_SCRIPTS = Path(__file__).resolve().parents[1]
CLIENT = "snapshot_download"
WAYS = ("bundler auto", "bundler hf_transfer", CLIENT, "hf_transfer alone", "curl")
_COMPARED = {"bundler auto": "sha256", "bundler hf_transfer": "sha256", CLIENT: "size"}


def main(arguments: Sequence[str]) -> int:
    """Measure and print; 0 when every way brought the file."""
    options = _parser().parse_args(arguments)
    try:
        debian.install_host_packages(("curl", "nginx-light"))
        _measure(options, shlex.join(["./scripts/bench", "download", *arguments]))
    except (BenchError, TestbedError, OSError) as error:
        print(f"bench: failed: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bench download", description=__doc__)
    parser.add_argument("--size", type=int, default=512, metavar="MIB", help="the file in MiB [%(default)s]")
    parser.add_argument(
        "--runs", type=int, default=3, metavar="N", help="runs, of which medians are shown [%(default)s]"
    )
    parser.add_argument(
        "--connections", type=int, default=8, metavar="N", help="of bundler and hf_transfer [%(default)s]"
    )
    parser.add_argument("--server", action="append", choices=["free", "limited"], help="may be repeated [both]")
    parser.add_argument("--way", action="append", choices=WAYS, help="may be repeated [all]")
    parser.add_argument(
        "--work", type=Path, default=Path("/var/tmp"), metavar="DIR", help="a disk with room for 3 x SIZE [%(default)s]"
    )
    return parser


def _measure(options: argparse.Namespace, command: str) -> None:
    print(f"`{command}`, {time.strftime('%Y-%m-%d', time.gmtime())}\n")
    print(f"- {machine()}; load of the last minute at the start: {load_average()}")
    print(f"- one file of {options.size} MiB over loopback, {options.connections} connections; {options.runs} runs")
    print("- seconds without the start of the program; nobody's time holds flushing to the disk", flush=True)
    ways = options.way or WAYS
    with ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bundler-bench-", dir=options.work)))
        repo = _repository(work, options.size)
        bases = stack.enter_context(serving(work / "www", work))
        for server in options.server or ["limited", "free"]:
            with Hub([repo], cdn_base=bases[server]) as hub:
                print(f"\n### {_title(server)}\n\n{_table(_runs(hub.endpoint, work, ways, options))}", flush=True)
    print(f"\nLoad of the last minute at the end: {load_average()}")


def _title(server: str) -> str:
    return f"{LIMIT_MB_S} MB/s for each connection" if server == "limited" else "no limit"


def _repository(work: Path, size: int) -> HubRepo:
    """A model on the test Hub, and its weights where nginx finds them under the CDN's address."""
    write_model(work / "model", size * _MIB)
    repo = HubRepo(REPO, work / "model")
    sha256 = str(repo.snapshots["main"].files[FILE].sha256)
    place = work / "www/lfs" / REPO / sha256
    place.mkdir(parents=True)
    (work / "model" / FILE).rename(place / FILE)
    (work / "model" / FILE).symlink_to(place / FILE)
    return repo


@dataclass(frozen=True)
class Trip:
    """One run of one way: seconds of the clock, and seconds of processors with the start of the program."""

    clock_s: float
    processor_s: float


def _runs(endpoint: str, work: Path, ways: Sequence[str], options: argparse.Namespace) -> dict[str, list[Trip]]:
    trips: dict[str, list[Trip]] = {way: [] for way in ways}
    for number in range(options.runs):
        for way in ways if number % 2 == 0 else reversed(ways):
            before = _processor_s()
            clock_s = _once(way, endpoint, work / "target", options)
            trips[way].append(Trip(clock_s, _processor_s() - before))
            print(f"run {number + 1} of {options.runs}: {way} {clock_s:.2f} s", file=sys.stderr, flush=True)
    return trips


def _processor_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _once(way: str, endpoint: str, target: Path, options: argparse.Namespace) -> float:
    """What was written before is on the disk when the clock starts."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    os.sync()
    if way == "curl":
        argv = ["curl", "-sSfL", "-w", "%{time_total}", "-o", str(target / FILE), resolve_address(endpoint)]
    else:
        argv = [sys.executable, "-m", "bench_steps.download_ways", way, endpoint, str(target), str(options.connections)]
    done = subprocess.run(argv, env=_environment(), capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    sizes = {
        path.stat().st_size
        for path in target.rglob("*")
        if path.is_file() and path.stat().st_size >= options.size * _MIB
    }
    if done.returncode or len(sizes) != 1:
        raise BenchError(f"{way}: exit code {done.returncode}\n{done.stderr[-2000:]}")
    return float(done.stdout)


def _environment() -> Mapping[str, str]:
    own = {
        "PYTHONPATH": f"{_SCRIPTS}:{_SCRIPTS.parent}",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_DISABLE_XET": "1",
    }
    return {**os.environ, **own, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}


def _table(trips: Mapping[str, list[Trip]]) -> str:
    """Medians, and how many times as fast as the Hub's client each way was."""
    lines = [
        "| way | compared | seconds (from to) | of processors | times the Hub's client |",
        "| --- | --- | ---: | ---: | ---: |",
    ]
    client = statistics.median(trip.clock_s for trip in trips[CLIENT]) if trips.get(CLIENT) else None
    for way, made in trips.items():
        values = [trip.clock_s for trip in made]
        median = statistics.median(values)
        spread = f"{median:.2f} ({min(values):.2f} to {max(values):.2f})"
        processors = f"{statistics.median(trip.processor_s for trip in made):.2f}"
        ratio = f"{client / median:.2f}" if client else ""
        lines.append(f"| {way} | {_COMPARED.get(way, 'nothing')} | {spread} | {processors} | {ratio} |")
    return "\n".join(lines)
