"""What is seen of a check while it runs: its processes, and the model files that they hold, on a real engine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest

from bundler.core.check_result import CheckResult
from bundler.core.checks import RunCheck
from bundler.core.digest import Digest
from bundler.core.docker_api import connect
from bundler.core.egress import TRIPWIRE
from bundler.core.progress import SilentProgress
from bundler.core.timeline import MAPPED, OPENED, Timeline
from bundler.installer.checks.running import run_commands
from bundler.installer.egress import control
from bundler.installer.engines.docker import DockerEngine
from testbed.engines import RunningEngine
from tests.support.calling_out import IMAGE, sh
from tests.support.docker_engines import ids_of, load
from tests.support.handmade import BUSYBOX, entry, file_layer, make_image, make_layer, shell_layer

MODEL, WEIGHTS = "/app/models/tiny", "/app/models/tiny/sub dir/weights.bin"
#: A program inside the model: its file is mapped while it runs, and nobody has it open.
PROGRAM = "/app/models/tiny/busybox-model"
_LAYERS = [
    file_layer(WEIGHTS[1:], b"w" * 100_000),
    make_layer(entry("app/other.bin", b"o"), entry(PROGRAM[1:], BUSYBOX.read_bytes(), mode=0o755)),
    shell_layer(),
]
#: Long beside the pause between two looks, on however slow a host.
SECONDS = 3


@pytest.fixture
def holding(docker20: RunningEngine) -> Iterator[tuple[DockerEngine, Digest]]:
    """An image with a model's files, and another file beside it."""
    before = ids_of(docker20)
    engine = DockerEngine(connect(docker20.base_url))
    yield engine, load(engine, make_image(str(IMAGE), _LAYERS), _LAYERS)
    docker20.docker("image", "rm", "--force", *(ids_of(docker20) - before))
    assert docker20.docker("ps", "--all", "--quiet").split() == []


def run(engine: DockerEngine, image_id: Digest, commands: Mapping[str, tuple[str, ...]]) -> dict[str, CheckResult]:
    checks = [RunCheck(name, IMAGE, command, 60.0, None, {}, (), False, (), ()) for name, command in commands.items()]
    results = run_commands(checks, {IMAGE: image_id}, engine, SilentProgress(), model_paths=[MODEL])
    return {result.name: result for result in results}


def timeline_of(result: CheckResult) -> Timeline:
    assert result.passed, result.detail
    assert result.no_egress is not None
    assert result.no_egress.proof == TRIPWIRE
    (timeline,) = result.no_egress.timelines
    return timeline


def test_processes_and_the_model_files_that_they_hold_are_seen(holding: tuple[DockerEngine, Digest]) -> None:
    script = f"exec 3<'{WEIGHTS}' 4</app/other.bin; sleep {SECONDS} & wait; exec 3<&-; exec sleep {SECONDS}"
    results = run(*holding, {"holds": sh(script), "idle": ("sleep", str(SECONDS))})
    timeline = timeline_of(results["holds"])
    first, child = sorted(timeline.processes, key=lambda process: process.pid)
    assert (first.pid, first.command) == (1, f"sleep {SECONDS}"), "a process has the command that it ended with"
    assert child.command == f"sleep {SECONDS}"
    assert first.last_s > child.last_s
    assert first.last_s <= timeline.seconds
    (load_,) = timeline.loads
    assert (load_.path, load_.hold, load_.pid) == (WEIGHTS, OPENED, 1)
    assert load_.last_s < first.last_s, "it was let go of before the end"
    assert load_.first_s < load_.last_s, "it was seen more than once"
    idle = timeline_of(results["idle"])
    assert [process.command for process in idle.processes] == [f"sleep {SECONDS}"], "each check has its own"
    assert idle.loads == ()


def test_the_control_is_kept_with_its_times(holding: tuple[DockerEngine, Digest]) -> None:
    kept = run(*holding, {"any": sh("true")})["any"].no_egress
    assert kept is not None
    assert kept.control is not None
    assert (kept.control.address, kept.control.port) == (str(control.GATEWAY), control.CONTROL_PORT)
    assert kept.control.name == control.CONTROL_NAME
    assert min(kept.control.packet_after_s, kept.control.question_after_s) >= 0


def test_a_file_that_is_only_mapped_is_seen(holding: tuple[DockerEngine, Digest]) -> None:
    timeline = timeline_of(run(*holding, {"maps": (PROGRAM, "sleep", str(SECONDS))})["maps"])
    assert [(load_.path, load_.hold) for load_ in timeline.loads] == [(PROGRAM, MAPPED)]


def test_a_flood_of_processes_is_bounded(holding: tuple[DockerEngine, Digest]) -> None:
    script = f"i=0; while [ $i -lt 130 ]; do sh -c 'sleep {SECONDS}; :' \x1b{'n' * 500} & i=$((i+1)); done; wait"
    timeline = timeline_of(run(*holding, {"floods": sh(script)})["floods"])
    assert len(timeline.processes) == 100
    assert timeline.unkept > 20
    assert max(len(process.command) for process in timeline.processes) == 200
    assert all(process.command.isprintable() for process in timeline.processes)
