"""The command line of ``scripts/bench``."""

from __future__ import annotations

import argparse
import platform
import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from bench_steps import download, egress
from bench_steps.programs import BenchError
from bench_steps.report import load_average, machine, render
from bench_steps.service import REPO, set_version, write_by_hand, write_recipe
from bench_steps.ways import FIRST, Place, Trip, build_kit, by_bundler, by_hand
from bench_steps.weights import write_model
from bundler.core.errors import BundlerError
from bundler.loader import loader_path
from testbed import TestbedError, debian
from testbed.engines import KINDS
from testbed.hub import Hub
from testbed.hub_repo import HubRepo

_ENGINES = {kind.name: kind for kind in KINDS}
_MIB = 1 << 20


def main(arguments: Sequence[str]) -> int:
    """Measure and print; 0 only when every step of both ways did what it is there for."""
    if arguments[:1] == ["download"]:
        return download.main(arguments[1:])
    if arguments[:1] == ["egress"]:
        return egress.main(arguments[1:])
    options = _parser().parse_args(arguments)
    try:
        loader_path()
        debian.install_host_packages((*debian.HOST_PACKAGES, "zstd"))
        _measure(options, shlex.join(["./scripts/bench", *arguments]))
    except (BenchError, TestbedError, BundlerError, OSError) as error:
        print(f"bench: failed: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="bench",
        description="bundler's speed as ratios against what a user would do by hand, on engines of the test bed (root).",
    )
    parser.add_argument("--size", type=int, default=512, metavar="MIB", help="weights in MiB [%(default)s]")
    parser.add_argument(
        "--runs", type=int, default=3, metavar="N", help="runs, of which medians are shown [%(default)s]"
    )
    parser.add_argument(
        "--engine", action="append", choices=sorted(_ENGINES), help="may be repeated [docker20 and docker28]"
    )
    parser.add_argument("--os", choices=["debian", "busybox"], default="debian", help="the base image [%(default)s]")
    parser.add_argument(
        "--work", type=Path, default=Path("/var/tmp"), metavar="DIR", help="a disk with room for 4 x SIZE [%(default)s]"
    )
    return parser


def _measure(options: argparse.Namespace, command: str) -> None:
    kinds = [_ENGINES[name] for name in options.engine or ["docker20", "docker28"]]
    rootfs = debian.rootfs("bookworm").path if options.os == "debian" else None
    _head(options, command)
    with ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bundler-bench-", dir=options.work)))
        write_model(work / "model", options.size * _MIB)
        write_by_hand(work / "hand", work / "model")
        write_recipe(work / "recipe")
        hub = stack.enter_context(Hub([HubRepo(REPO, work / "model")]))
        for kind in kinds:
            place = Place(work, kind, rootfs)
            title = _warm(place, hub)
            print(f"\n### {title}\n\n{_compare(place, hub, options.runs)}", flush=True)
    print(f"\nLoad of the last minute at the end: {load_average()}")


def _head(options: argparse.Namespace, command: str) -> None:
    when = time.strftime("%Y-%m-%d", time.gmtime())
    print(f"`{command}`, {when}\n")
    print(f"- {machine()}, Python {platform.python_version()}; load of the last minute at the start: {load_average()}")
    print(f"- {options.size} MiB of generated bfloat16 weights over {options.os}; medians of {options.runs} runs")
    print("- ratio: what bundler takes, divided by what it takes by hand", flush=True)


def _warm(place: Place, hub: Hub) -> str:
    """Lock, and bring the model into bundler's cache: by hand the weights are local too. Gives the engine's title."""
    (place.recipe / "recipe.lock").unlink(missing_ok=True)
    set_version(place.hand, place.recipe, FIRST)
    with place.engine() as here:
        build_kit(place, here, hub.endpoint)
        title = f"Docker {here.version}, {here.store}"
    shutil.rmtree(place.work / "out")
    return title


def _compare(place: Place, hub: Hub, runs: int) -> str:
    hand: list[dict[str, Trip]] = []
    ours: list[dict[str, Trip]] = []
    for number in range(runs):
        ways = [lambda: hand.append(by_hand(place)), lambda: ours.append(by_bundler(place, hub.endpoint))]
        for way in ways if number % 2 == 0 else reversed(ways):  # neither always finds the files read just now
            way()
        print(f"{place.kind.name}: run {number + 1} of {runs}", file=sys.stderr, flush=True)
    return render(hand, ours)
