"""Running commands as checks, and what has to be told of those that call out; no packet of theirs leaves the wire."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass

from bundler.core.check_result import CheckResult
from bundler.core.checks import RunCheck
from bundler.core.digest import Digest
from bundler.core.docker_api import connect
from bundler.core.progress import Progress, SilentProgress
from bundler.core.reference import Reference
from bundler.installer.checks.running import run_commands
from bundler.installer.egress.holder_program import program
from bundler.installer.engine import Engine
from bundler.installer.engines.docker import DockerEngine
from testbed.engines import RunningEngine
from tests.support.docker_engines import load
from tests.support.handmade import entry, make_image, make_layer, shell_layer

IMAGE = Reference.parse("registry.test.local:5000/team/caller:1")
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
) -> dict[str, CheckResult]:
    """Each command as a check of its own, in one session of proof."""
    checks = [
        RunCheck(name, IMAGE, command, 15.0, None, env or {}, (), False, (), ()) for name, command in commands.items()
    ]
    shown = progress or SilentProgress()
    results = run_commands(checks, {IMAGE: image_id}, engine, shown, where_in_code=where_in_code)
    return {result.name: result for result in results}


def is_named(leak: Leak, result: CheckResult) -> bool:
    """Whether the check failed with that attempt among those that it tells."""
    assert result.no_egress is not None
    return not result.passed and any(
        (attempt.protocol, attempt.port) == (leak.protocol, leak.port)
        and leak.target in {attempt.address, attempt.name}
        and (not leak.process or any(leak.process in process for process in attempt.processes))
        and attempt.told in result.detail
        for attempt in result.no_egress.attempts
    )
