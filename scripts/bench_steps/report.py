"""The tables: medians of both ways and bundler's share of what the other one takes."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from bench_steps.ways import FIRST, UPDATE, Trip

Runs = Sequence[Mapping[str, Trip]]
_HERE, _THERE = ("build", "pack", "sum"), ("check", "load")
_TITLES = {FIRST: "first time", UPDATE: "update: the application changed"}
_STEPS = (
    ("build", "`docker build`", "`bundler build`"),
    ("pack", "`docker save \\| zstd -T0 -3`", ""),
    ("sum", "`sha256sum`", ""),
    ("check", "`sha256sum --check`", "`sha256sum --check`"),
    ("load", "`zstd -dc \\| docker load`", "`bundler.pyz install`"),
)


def render(hand: Runs, ours: Runs) -> str:
    """The tables of one engine, in Markdown."""
    parts = []
    for version, title in _TITLES.items():
        theirs, own = [run[version] for run in hand], [run[version] for run in ours]
        lines = [f"| {title} | by hand | | bundler | | ratio |", "| --- | --- | ---: | --- | ---: | ---: |"]
        lines += [_step(theirs, own, *step) for step in _STEPS]
        lines += [
            _sum("this side", theirs, own, lambda trip: _seconds(trip, _HERE)),
            _sum("other side", theirs, own, lambda trip: _seconds(trip, _THERE)),
            _sum("**all**", theirs, own, lambda trip: trip.total_s),
            _bytes("bytes carried", theirs, own, lambda trip: trip.carried_size),
            _bytes("bytes into the other engine", theirs, own, lambda trip: trip.taken_size),
        ]
        parts += ["\n".join(lines), _inside(own)]
    return "\n\n".join(parts)


def _inside(own: list[Trip]) -> str:
    medians = {step: statistics.median(trip.inside[step] for trip in own) for step in own[0].inside}
    steps = ", ".join(f"{step} {seconds:.1f} s" for step, seconds in medians.items() if seconds >= 0.05)
    checks_s = statistics.median(trip.checks_s for trip in own)
    return f"Inside `bundler build`: {steps}. Inside `bundler.pyz install`: checks {checks_s:.1f} s."


def _seconds(trip: Trip, steps: Sequence[str]) -> float:
    return sum(trip.seconds.get(step, 0.0) for step in steps)


def _step(theirs: list[Trip], own: list[Trip], step: str, command: str, our_command: str) -> str:
    shown = [_time([trip.seconds[step] for trip in trips if step in trip.seconds]) for trips in (theirs, own)]
    return f"| | {command} | {shown[0]} | {our_command} | {shown[1]} | |"


def _time(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.1f} s" if values else ""


def _sum(title: str, theirs: list[Trip], own: list[Trip], value: Callable[[Trip], float]) -> str:
    left, right = ([value(trip) for trip in trips] for trips in (theirs, own))
    return f"| {title} | | {_spread(left)} | | {_spread(right)} | {_ratio(left, right)} |"


def _spread(values: Sequence[float]) -> str:
    """The median, and from what to what the runs went."""
    return f"{statistics.median(values):.1f} s ({min(values):.1f} to {max(values):.1f})"


def _bytes(title: str, theirs: list[Trip], own: list[Trip], value: Callable[[Trip], int]) -> str:
    left, right = ([value(trip) for trip in trips] for trips in (theirs, own))
    shown = [f"{statistics.median(values) / 1e6:.2f} MB" for values in (left, right)]
    return f"| {title} | | {shown[0]} | | {shown[1]} | {_ratio(left, right)} |"


def _ratio(left: Sequence[float], right: Sequence[float]) -> str:
    ratio = statistics.median(right) / statistics.median(left)
    return f"{ratio:.2f}" if ratio >= 0.01 else f"{ratio:.4f}"


def machine() -> str:
    """Processor, cores, memory, kernel."""
    model = _field(Path("/proc/cpuinfo"), "model name") or platform.machine()
    memory = int(_field(Path("/proc/meminfo"), "MemTotal").split()[0]) / (1 << 20)
    return f"{len(os.sched_getaffinity(0))} cores of {model}, {memory:.0f} GiB memory, Linux {platform.release()}"


def load_average() -> str:
    """Of the last minute: what else the machine had to do."""
    return f"{os.getloadavg()[0]:.1f}"


def _field(file: Path, name: str) -> str:
    lines = (line.partition(":") for line in file.read_text().splitlines())
    return next((value.strip() for key, _, value in lines if key.strip() == name), "")
