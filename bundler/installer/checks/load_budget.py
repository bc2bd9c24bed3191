"""``load_budget``: a command loads the model and ends, in its time when it starts cold and when it starts warm.

Cold: the model's files are not in memory before, as after a start of the host. Warm: right afterwards.
"""

from __future__ import annotations

from dataclasses import replace

from bundler.core.check_result import CheckResult
from bundler.core.checks import LoadBudgetCheck
from bundler.core.egress import NoEgress
from bundler.installer.checks.coldness import Coldness, make_cold
from bundler.installer.checks.command import ended_badly
from bundler.installer.checks.scene import Scene, Seen
from bundler.installer.engine import RunResult


def check_load_budget(check: LoadBudgetCheck, scene: Scene) -> CheckResult:
    """Run it twice; once where it goes wrong the first time."""
    coldness = make_cold(scene)
    first, no_egress = scene.watch.run(scene.image_id, scene.spec(check))
    runs = [first]
    if not ended_badly(first, check.within_s):
        second, more = scene.watch.run(scene.image_id, scene.spec(check))
        runs.append(second)
        no_egress = _both(no_egress, more)
    names = ("first" if coldness.why_not else "cold", "warm")
    told = _told(check, dict(zip(names, runs)), coldness)
    return Seen(
        _faults(check, dict(zip(names, runs)), told),
        sum(run.seconds for run in runs),
        runs[-1].output,
        no_egress,
        measured={f"{name}_s": round(run.seconds, 3) for name, run in zip(names, runs) if name != "first"},
        well=told,
    ).verdict(check)


def _both(one: NoEgress, other: NoEgress) -> NoEgress:
    """The attempts of two runs of one session; the times of each are since its own start."""
    return replace(one, attempts=one.attempts + other.attempts)


def _told(check: LoadBudgetCheck, runs: dict[str, RunResult], coldness: Coldness) -> str:
    """The times, and what the first one means."""
    times = ", ".join(f"{name} {run.seconds:.2f} s" for name, run in runs.items())
    if coldness.why_not:
        return f"{times}, budget {check.budget_s:g} s; cold: not measured here: {coldness.why_not}"
    return f"{times}, budget {check.budget_s:g} s; cold: {coldness.size:,} bytes of the model were on the disk alone"


def _faults(check: LoadBudgetCheck, runs: dict[str, RunResult], told: str) -> list[str]:
    faults = []
    for name, run in runs.items():
        if bad_end := ended_badly(run, check.within_s):
            faults.append(f"the {name} load {bad_end}")
        elif run.seconds > check.budget_s:
            faults.append(f"the {name} load took longer than its budget")
    return [*faults, told] if faults else []
