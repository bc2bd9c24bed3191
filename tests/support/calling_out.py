"""Running commands as checks, and what has to be told of those that call out; no packet of theirs leaves the wire."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass

from bundler.core.check_result import CheckResult
from bundler.core.checks import RunCheck
from bundler.core.digest import Digest
from bundler.core.docker_api import connect
from bundler.core.egress import TRIPWIRE, Attempt
from bundler.core.progress import Progress, SilentProgress
from bundler.core.reference import Reference
from bundler.installer.checks.running import run_commands
from bundler.installer.egress.holder_program import program
from bundler.installer.engine import Engine, RunSpec
from bundler.installer.engines.docker import DockerEngine
from testbed.engines import RunningEngine
from tests.support.docker_engines import load
from tests.support.handmade import entry, make_image, make_layer, shell_layer

IMAGE = Reference.parse("registry.test.local:5000/team/caller:1")
ALONE = RunSpec((), 0.0)
_LAYERS = [shell_layer(), make_layer(entry("leak", program("amd64"), mode=0o755))]


@dataclass(frozen=True)
class Leak:
    """A command, and what has to be told of it: protocol, port, address or name, and a piece of the process."""

    command: tuple[str, ...]
    protocol: str
    target: str
    port: int | None
    process: str = ""


def loaded(running: RunningEngine) -> tuple[DockerEngine, Digest]:
    """The engine, and an image on it with busybox and a static program whose first act is to call out."""
    engine = DockerEngine(connect(running.base_url))
    return engine, load(engine, make_image(str(IMAGE), _LAYERS), _LAYERS)


def sh(script: str) -> tuple[str, ...]:
    return ("sh", "-c", script)


def python(script: str) -> tuple[str, ...]:
    return ("python3", "-c", textwrap.dedent(script))


def run_all(
    engine: Engine,
    image_id: Digest,
    commands: Mapping[str, tuple[str, ...]],
    progress: Progress | None = None,
    *,
    where_in_code: bool = False,
    env: Mapping[str, str] | None = None,
    within_s: float = 120.0,
    user: str | None = None,
    surroundings: RunSpec = ALONE,
) -> dict[str, CheckResult]:
    """Each command as a check of its own, in one session of proof."""
    checks = [
        RunCheck(name, IMAGE, command, within_s, user, env or {}, (), False, (), ())
        for name, command in commands.items()
    ]
    shown = progress or SilentProgress()
    results = run_commands(checks, {IMAGE: image_id}, engine, shown, surroundings, where_in_code=where_in_code)
    return {result.name: result for result in results}


def named(leak: Leak, result: CheckResult) -> Attempt | None:
    """The attempt that the leak is, among those that were seen."""
    assert result.no_egress is not None
    for attempt in result.no_egress.attempts:
        to_there = (attempt.protocol, attempt.port) == (leak.protocol, leak.port)
        by_whom = not leak.process or any(leak.process in process for process in attempt.processes)
        if to_there and leak.target in {attempt.address, attempt.name} and by_whom:
            return attempt
    return None


def is_named(leak: Leak, result: CheckResult) -> bool:
    """Whether the check failed with that attempt among those that it tells."""
    attempt = named(leak, result)
    return not result.passed and attempt is not None and attempt.told in result.detail


def is_silent(result: CheckResult) -> bool:
    """Whether it did its work, and was listened to, and was not heard."""
    assert result.no_egress is not None
    return result.passed and result.no_egress.proof == TRIPWIRE and not result.no_egress.attempts


def told_fault(result: CheckResult) -> str:
    """What a test says of a result that is not as it must be: nobody listened, or what came of the check."""
    assert result.no_egress is not None
    return f"weaker proof: {result.no_egress.why}" if result.no_egress.proof != TRIPWIRE else result.detail
