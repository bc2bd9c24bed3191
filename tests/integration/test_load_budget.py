"""Loads from a cold start and a warm one, on real engines: what the page cache holds is asked of fincore."""

from __future__ import annotations

import mmap
import os
import random
import re
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from bundler.core.check_result import CheckResult
from bundler.core.checks import LoadBudgetCheck
from bundler.core.digest import Digest
from bundler.core.docker_api import connect
from bundler.core.progress import SilentProgress
from bundler.core.reference import Reference
from bundler.installer.checks.running import run_commands
from bundler.installer.engine import RunResult, RunSpec
from bundler.installer.engines.docker import DockerEngine
from testbed.engines import RunningEngine
from tests.support.calling_out import sh
from tests.support.docker_engines import ids_of, load
from tests.support.handmade import entry, make_image, make_layer, shell_layer

IMAGE = Reference.parse("registry.test.local:5000/team/loads:1")
MODEL = "/app/models/m"
FILES = (f"{MODEL}/config.json", f"{MODEL}/weights")
SIZE = 6 << 20
#: What was read or written is in memory, but for pages that a host under pressure takes back.
MOST = SIZE // 2
LOADS = sh(f"cat {' '.join(FILES)} >/dev/null && echo loaded")
_FOLDERS = [entry(name, mode=0o755, kind=tarfile.DIRTYPE) for name in ("app", "app/models")]
_MODEL = make_layer(
    *_FOLDERS,
    entry(MODEL[1:], mode=0o755, kind=tarfile.DIRTYPE),
    entry(FILES[0][1:], b"{}"),
    entry(FILES[1][1:], random.Random(5).randbytes(SIZE)),
    kind="model",
)
_LINK = make_layer(*_FOLDERS, entry(MODEL[1:], kind=tarfile.SYMTYPE, link="/etc"), kind="model")
_PIPE = make_layer(
    *_FOLDERS, entry(MODEL[1:], mode=0o755, kind=tarfile.DIRTYPE), entry(FILES[1][1:], kind=tarfile.FIFOTYPE)
)


class Looking(DockerEngine):
    """Asks before each command of the check how much of the weights is in the page cache."""

    def __init__(self, running: RunningEngine) -> None:
        super().__init__(connect(running.base_url))
        self.cached: list[int] = []

    def run(self, image_id: Digest, spec: RunSpec) -> RunResult:
        if spec.command[0] == "sh":
            self.cached.append(self.cached_size(image_id))
        return super().run(image_id, spec)

    def cached_size(self, image_id: Digest) -> int:
        with self.paused(image_id) as holder:
            return fincore(Path(f"/proc/{holder.pid}/root{FILES[1]}"))


def fincore(path: Path) -> int:
    argv = ["fincore", "--bytes", "--noheadings", "--output", "RES", str(path)]
    return int(subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60).stdout)


@pytest.fixture(params=["docker20", "docker28_containerd"])
def running(request: pytest.FixtureRequest) -> Iterator[RunningEngine]:
    """One engine of each kind of store; afterwards nothing is left on it."""
    engine: RunningEngine = request.getfixturevalue(request.param)
    before = ids_of(engine)
    yield engine
    left = engine.docker("ps", "--all", "--quiet").split()
    engine.docker("image", "rm", "--force", *(ids_of(engine) - before))
    assert left == []


@pytest.fixture
def looking(running: RunningEngine) -> tuple[Looking, Digest]:
    engine = Looking(running)
    return engine, load(engine, make_image(str(IMAGE), [_MODEL, shell_layer()]), [_MODEL, shell_layer()])


def checked(
    engine: DockerEngine,
    image_id: Digest,
    command: tuple[str, ...] = LOADS,
    *,
    budget_s: float = 120.0,
    within_s: float = 360.0,
    files: tuple[str, ...] = FILES,
    mounts: dict[str, Path] | None = None,
) -> CheckResult:
    check = LoadBudgetCheck("loads", IMAGE, command, within_s, None, {}, (), False, budget_s)
    around = RunSpec((), 0.0, mounts=mounts or {})
    (result,) = run_commands([check], {IMAGE: image_id}, engine, SilentProgress(), around, model_files={IMAGE: files})
    return result


def test_the_weights_are_out_of_memory_before_the_cold_load_alone(looking: tuple[Looking, Digest]) -> None:
    engine, image_id = looking
    assert engine.cached_size(image_id) > MOST  # as the loading left them: in memory, and not on the disk yet
    result = checked(engine, image_id)
    assert result.passed, result.detail
    cold, warm = engine.cached
    assert cold == 0 and warm > MOST, result.detail
    assert set(result.measured) == {"cold_s", "warm_s"}
    assert min(result.measured.values()) > 0
    assert result.detail.startswith(f"cold {result.measured['cold_s']:.2f} s, warm {result.measured['warm_s']:.2f} s, ")
    assert f"budget 120 s; before the cold load, {SIZE + 2:,} bytes of model files were taken out" in result.detail


def test_a_load_beyond_its_budget_fails_with_both_times(looking: tuple[Looking, Digest]) -> None:
    result = checked(*looking, sh("sleep 0.4"), budget_s=0.2)
    assert not result.passed
    assert set(result.measured) == {"cold_s", "warm_s"}
    assert (
        "the cold load took longer than its budget; the warm load took longer than its budget; cold " in result.detail
    )


def test_only_the_warm_load_is_beyond_its_budget(
    looking: tuple[Looking, Digest], monkeypatch: pytest.MonkeyPatch
) -> None:
    times = iter([1.0, 500.0])
    run = Looking.run

    def timed(self: Looking, image_id: Digest, spec: RunSpec) -> RunResult:
        result = run(self, image_id, spec)
        return (
            RunResult(result.exit_code, result.output, next(times), result.began) if spec.command == LOADS else result
        )

    monkeypatch.setattr(Looking, "run", timed)
    result = checked(*looking)
    assert result.detail.startswith(
        "the warm load took longer than its budget; cold 1.00 s, warm 500.00 s, budget 120 s"
    )


def test_a_load_that_goes_wrong_is_not_tried_again(looking: tuple[Looking, Digest]) -> None:
    engine, image_id = looking
    wrong = checked(engine, image_id, sh("echo no such model; exit 3"))
    assert not wrong.passed
    assert wrong.measured == {}
    assert wrong.detail.startswith("the cold load ended with code 3; budget 120 s;")
    assert "it printed: no such model" in wrong.detail
    endless = checked(engine, image_id, sh("sleep 600"), within_s=1.0)
    assert endless.detail.startswith("the cold load did not end within 1 s")
    assert len(engine.cached) == 2


def test_what_a_load_calls_is_told(looking: tuple[Looking, Digest]) -> None:
    result = checked(*looking, sh("busybox nslookup huggingface.co >/dev/null; true"))
    assert not result.passed
    assert result.no_egress is not None
    assert [each.name for each in result.no_egress.attempts] == ["huggingface.co"] * 2  # of the cold load and the warm
    assert set(result.measured) == {"cold_s", "warm_s"}


# -- where no start can be made cold


def test_without_root_the_cold_time_is_not_told(
    looking: tuple[Looking, Digest], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    result = checked(*looking)
    assert result.passed
    assert set(result.measured) == {"warm_s"}
    assert result.detail.startswith("first ")
    assert "cold: not measured here: root's rights are needed, and this is another user" in result.detail


def test_weights_that_another_process_uses_stay_in_memory(looking: tuple[Looking, Digest]) -> None:
    engine, image_id = looking
    with (
        engine.paused(image_id) as holder,
        Path(f"/proc/{holder.pid}/root{FILES[1]}").open("rb") as stream,
        mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as used,
    ):
        assert len(bytes(used)) == SIZE  # every page is touched
        result = checked(engine, image_id)
    assert result.passed
    assert set(result.measured) == {"warm_s"}
    told = re.search(
        r"([\d,]+) of ([\d,]+) bytes of the model's files stay in memory: something uses them", result.detail
    )
    assert told is not None, result.detail
    left, whole = (int(text.replace(",", "")) for text in told.groups())
    assert MOST < left < whole == SIZE + 2


@pytest.mark.parametrize(("layer", "path"), [(_LINK, f"{MODEL}/passwd"), (_PIPE, FILES[1])])
def test_a_hostile_image_is_not_followed(docker20: RunningEngine, layer: object, path: str) -> None:
    before = ids_of(docker20)
    engine, layers = DockerEngine(connect(docker20.base_url)), [layer, shell_layer()]
    image_id = load(engine, make_image(str(IMAGE), layers), layers)  # type: ignore[arg-type]
    result = checked(engine, image_id, ("sh", "-c", "true"), files=(path,))
    docker20.docker("image", "rm", "--force", *(ids_of(docker20) - before))
    assert "cold: not measured here: the model's files cannot be taken out of memory" in result.detail


def test_an_image_without_a_model_says_so(looking: tuple[Looking, Digest]) -> None:
    assert "cold: not measured here: the image holds no model" in checked(*looking, sh("true"), files=()).detail


def test_mounted_models_leave_memory_where_they_are(docker20: RunningEngine, tmp_path: Path) -> None:
    before = ids_of(docker20)
    engine = DockerEngine(connect(docker20.base_url))
    image_id = load(engine, make_image(str(IMAGE), [shell_layer()]), [shell_layer()])
    place = tmp_path / "model"
    place.mkdir()
    place.chmod(0o755)
    weights = place / "weights"
    weights.write_bytes(bytes(SIZE))
    assert fincore(weights) > MOST
    result = checked(engine, image_id, sh(f"ls {MODEL}"), files=(), mounts={MODEL: place})
    docker20.docker("image", "rm", "--force", *(ids_of(docker20) - before))
    assert result.passed, result.detail
    assert fincore(weights) == 0  # the command has not read them
    assert set(result.measured) == {"cold_s", "warm_s"}
