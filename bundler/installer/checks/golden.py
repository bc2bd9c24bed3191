"""``golden``: what comes out of a model is what an independent reference recorded, alone and in a batch.

The command gets one argument more, a JSON list of batches: each input alone, then all inputs in one. It prints a list of
the same form with an output in the place of each input. A model that lost its pooling answers, and so does one whose
padding is seen by the attention; only the numbers tell.
"""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any, Optional

from bundler.core.check_result import CheckResult
from bundler.core.checks import GoldenCheck
from bundler.installer.checks.command import ended_badly
from bundler.installer.checks.comparison import Deviation, largest_deviation
from bundler.installer.checks.scene import Scene, Seen
from bundler.installer.engine import RunResult

_SHOWN_INPUT = 30


def check_golden(check: GoldenCheck, scene: Scene) -> CheckResult:
    """Run it once with all inputs, and compare."""
    spec = replace(scene.spec(check, (*check.run, check.golden.argument)), stdout_apart=True)
    result, no_egress = scene.watch.run(scene.image_id, spec)
    batches, faults = _answer(check, result)
    if faults:
        return Seen(faults, result.seconds, result.output, no_egress).verdict(check)
    alone, together = _compared(check, batches)
    largest = max(each.difference for each in (*alone, *together))
    return Seen(
        _faults(check, alone, together),
        result.seconds,
        None,
        no_egress,
        measured={"largest_difference": largest} if math.isfinite(largest) else {},
        well=f"{len(alone)} outputs, alone and in one batch, are those that were recorded: the largest difference is "
        f"{largest:.2g}, {check.tolerance:g} is tolerated",
    ).verdict(check)


def _answer(check: GoldenCheck, result: RunResult) -> tuple[list[list[Any]], list[str]]:
    """The outputs in their batches, or what is wrong with what was printed."""
    if bad_end := ended_badly(result, check.within_s):
        return [], [bad_end]
    batches = _last_list(result.stdout)
    if batches is None:
        return [], ["printed no line that is a JSON list of outputs"]
    count = len(check.golden.inputs)
    sizes = [*([1] * count), count]
    found = [len(batch) if isinstance(batch, list) else -1 for batch in batches]
    if found == sizes:
        return batches, []
    if len(found) != len(sizes):
        return [], [f"printed {len(found)} batches, not {len(sizes)}: each of {count} inputs alone, then all in one"]
    number = next(number for number, pair in enumerate(zip(found, sizes)) if pair[0] != pair[1])
    wrong = "no list" if found[number] < 0 else f"{found[number]} outputs"
    return [], [f"printed {wrong} for batch {number + 1}, not {sizes[number]}"]


def _last_list(stdout: str) -> Optional[list[Any]]:
    """The last line that is a JSON list; libraries print what they like before it, and even after it."""
    for line in reversed(stdout.split("\n")):
        text = line.strip()
        if not (text.startswith("[") and text.endswith("]")):
            continue
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            continue
        return list(value)
    return None


def _compared(check: GoldenCheck, batches: list[list[Any]]) -> tuple[list[Deviation], list[Deviation]]:
    recorded = check.golden.outputs
    alone = [largest_deviation(output, batch[0]) for output, batch in zip(recorded, batches)]
    return alone, [largest_deviation(*pair) for pair in zip(recorded, batches[-1])]


def _faults(check: GoldenCheck, alone: list[Deviation], together: list[Deviation]) -> list[str]:
    """One line for the inputs alone, one for the batch."""
    told_alone, told_together = (_told(check, each) for each in (alone, together))
    size = len(together)
    faults = [f"alone, {told_alone}"] if told_alone else []
    if told_together and told_alone:
        faults.append(f"in a batch of {size}, {told_together}")
    elif told_together:
        why = "right alone and wrong in a padded batch: look at what becomes of the padding"
        faults.append(f"in a batch of {size}, {told_together}; {why}")
    return faults


def _told(check: GoldenCheck, deviations: list[Deviation]) -> str:
    """How many are off and which one most; empty where none is."""
    wrong = [number for number, each in enumerate(deviations) if not each.difference <= check.tolerance]
    if not wrong:
        return ""
    worst = max(wrong, key=lambda number: deviations[number].difference)
    shown = json.dumps(check.golden.inputs[worst], ensure_ascii=True)
    excerpt = shown if len(shown) <= _SHOWN_INPUT else f"{shown[:_SHOWN_INPUT]}…"
    count = f"{len(wrong)} of {len(deviations)} outputs are not those that were recorded"
    return f"{count} (tolerance {check.tolerance:g}), most of all for input {worst + 1}, {excerpt}: {deviations[worst].told}"
