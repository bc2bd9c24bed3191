"""``load_budget``: a command loads the model and ends, in its time when it starts cold and when it starts warm.

Cold: the model's files are not in memory before, as after a start of the host. Warm: right afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping
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
    first_name = "first" if coldness.why_not else "cold"
    first, no_egress = scene.watch.run(scene.image_id, scene.spec(check))
    runs = {first_name: first}
    if not ended_badly(first, check.within_s):
        runs["warm"], more = scene.watch.run(scene.image_id, scene.spec(check))
        no_egress = _both(no_egress, more)
    times = {name: round(run.seconds, 3) for name, run in runs.items() if not ended_badly(run, check.within_s)}
    told = _told(check, times, coldness)
    return Seen(
        _faults(check, runs, told),
        sum(run.seconds for run in runs.values()),
        "".join(run.output for run in runs.values()),
        no_egress,
        measured={f"{name}_s": time for name, time in times.items() if name != "first"},
        well=told,
    ).verdict(check)


def _both(one: NoEgress, other: NoEgress) -> NoEgress:
    """The attempts of two runs of one session; the times of each are since its own start."""
    return replace(one, attempts=one.attempts + other.attempts, timelines=one.timelines + other.timelines)


def _told(check: LoadBudgetCheck, times: Mapping[str, float], coldness: Coldness) -> str:
    """The times of the loads that ended well, and what the first one means."""
    parts = [", ".join([*(f"{name} {time:.2f} s" for name, time in times.items()), f"budget {check.budget_s:g} s"])]
    if coldness.why_not:
        parts.append(f"cold: not measured here: {coldness.why_not}")
    else:
        parts.append(f"before the cold load, {coldness.size:,} bytes of model files were taken out of memory")
    return "; ".join(parts)


def _faults(check: LoadBudgetCheck, runs: Mapping[str, RunResult], told: str) -> list[str]:
    faults = []
    for name, run in runs.items():
        if bad_end := ended_badly(run, check.within_s):
            faults.append(f"the {name} load {bad_end}")
        elif run.seconds > check.budget_s:
            faults.append(f"the {name} load took longer than its budget")
    return [*faults, told] if faults else []
