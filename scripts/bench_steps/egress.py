"""``scripts/bench egress``: what the proof that nothing calls out costs, beyond the time of the checks themselves."""

from __future__ import annotations

import argparse
import shlex
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from bench_steps.programs import BenchError
from bench_steps.report import load_average, machine
from bundler.core.digest import Digest
from bundler.core.docker_api import connect
from bundler.core.egress import TRIPWIRE, NoEgress
from bundler.core.errors import BundlerError
from bundler.core.progress import SilentProgress
from bundler.installer.egress.watch import watching
from bundler.installer.engine import RunResult, RunSpec
from bundler.installer.engines.docker import DockerEngine
from testbed import TestbedError
from testbed.engines import KINDS, EngineDaemon, EngineKind
from testbed.images import busybox_image

_ENGINES = {kind.name: kind for kind in KINDS}
#: The check: it does nothing, so that what is measured is what stands around it.
_CHECK = RunSpec(("true",), 60.0)


@dataclass
class Costs:
    """Seconds of each run: the check without any proof, and the same in a session of proof."""

    alone: list[float] = field(default_factory=list)
    session: list[float] = field(default_factory=list)
    further: list[float] = field(default_factory=list)


def main(arguments: Sequence[str]) -> int:
    """Measure and print; 0 when every check was run, and listened to where it had to be."""
    options = _parser().parse_args(arguments)
    command = shlex.join(["./scripts/bench", "egress", *arguments])
    try:
        print(f"`{command}`, {time.strftime('%Y-%m-%d', time.gmtime())}\n")
        print(f"- {machine()}; load of the last minute at the start: {load_average()}")
        print(f"- the check is `true` in busybox; {options.runs} runs, taking turns; seconds")
        for name in options.engine or ["docker20", "docker28"]:
            title, costs = _measure(_ENGINES[name], options.runs)
            print(f"\n### {title}\n\n{_table(costs)}", flush=True)
    except (BenchError, TestbedError, BundlerError, OSError) as error:
        print(f"bench: failed: {error}", file=sys.stderr)
        return 1
    print(f"\nLoad of the last minute at the end: {load_average()}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bench egress", description=__doc__)
    parser.add_argument("--runs", type=int, default=10, metavar="N", help="sessions of proof [%(default)s]")
    parser.add_argument(
        "--engine", action="append", choices=sorted(_ENGINES), help="may be repeated [docker20 and docker28]"
    )
    return parser


def _measure(kind: EngineKind, runs: int) -> tuple[str, Costs]:
    """The engine's title, and what was measured there; the first run of each way warms up and is left out."""
    costs = Costs()
    with EngineDaemon(kind).running() as running:
        engine, image_id = DockerEngine(connect(running.base_url)), Digest.parse(busybox_image(running, "bench:1"))
        for number in range(runs + 1):
            ways = [_alone, _session]
            for way in ways if number % 2 == 0 else reversed(ways):
                way(engine, image_id, Costs() if number == 0 else costs)
        return f"Docker {running.version}, {running.store}", costs


def _alone(engine: DockerEngine, image_id: Digest, costs: Costs) -> None:
    with _timed(costs.alone):
        _require(engine.run(image_id, _CHECK))


def _session(engine: DockerEngine, image_id: Digest, costs: Costs) -> None:
    """A session with one check; and, between the checks' ends, what one more of them takes in it."""
    further: list[float] = []
    with _timed(costs.session), watching(engine, SilentProgress()) as watch:
        _require(*watch.run(image_id, _CHECK))
        with _timed(further):
            _require(*watch.run(image_id, _CHECK))
    costs.session[-1] -= further[0]
    costs.further += further


@contextmanager
def _timed(seconds: list[float]) -> Iterator[None]:
    began = time.monotonic()
    yield
    seconds.append(time.monotonic() - began)


def _require(result: RunResult, no_egress: NoEgress | None = None) -> None:
    if result.exit_code != 0:
        raise BenchError(f"the check ended with {result.exit_code}: {result.output}")
    if no_egress is not None and (no_egress.proof != TRIPWIRE or no_egress.attempts):
        raise BenchError(f"the check was not proved silent: {no_egress.proof} {no_egress.why} {no_egress.told}")


def _table(costs: Costs) -> str:
    """Medians and spreads, and what the proof adds to the median of a check without it."""
    rows = (
        ("the check without the proof", costs.alone),
        ("a session of proof with the check in it", costs.session),
        ("one more check in the session", costs.further),
    )
    base = statistics.median(costs.alone)
    lines = ["| | min | median | max | added by the proof |", "| --- | ---: | ---: | ---: | ---: |"]
    for title, values in rows:
        median = statistics.median(values)
        added = "" if values is costs.alone else f"{median - base:.2f}"
        lines.append(f"| {title} | {min(values):.2f} | {median:.2f} | {max(values):.2f} | {added} |")
    return "\n".join(lines)
