"""``run``: a command that must end well and in time, print what is expected and nothing that is forbidden."""

from __future__ import annotations

from bundler.core.check_result import CheckResult
from bundler.core.checks import RunCheck
from bundler.installer.checks.patterns import pattern_faults
from bundler.installer.checks.scene import Scene, Seen
from bundler.installer.engine import RunResult


def check_command(check: RunCheck, scene: Scene) -> CheckResult:
    """Run it once."""
    result, no_egress = scene.watch.run(scene.image_id, scene.spec(check))
    return Seen(_faults(check, result), result.seconds, result.output, no_egress).verdict(check)


def _faults(check: RunCheck, result: RunResult) -> list[str]:
    bad_end = ended_badly(result, check.within_s)
    if result.exit_code is None:
        return [bad_end]
    return [*([bad_end] if bad_end else []), *pattern_faults(check, result.output, "printed")]


def ended_badly(result: RunResult, within_s: float) -> str:
    """What is wrong with how a command ended; empty where nothing is."""
    if result.exit_code is None:
        return f"did not end within {within_s:g} s"
    return "" if result.exit_code == 0 else f"ended with code {result.exit_code}"
