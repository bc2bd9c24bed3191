"""The demo's parts: how it fails, is interrupted and cleans up; its hosts, with root and without. The whole way is in
``tests/recipes``."""

from __future__ import annotations

import contextlib
import fcntl
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bundler.builder.engine_build.tags import CACHE
from demo_steps import carrying
from demo_steps.hosts import ConnectedHost, connected_host, isolated_host
from demo_steps.names import require_free
from demo_steps.sources import BASE_TAG, embedded_base
from demo_steps.stage import Stage, StepError
from testbed.engines import DOCKER_20, RunningEngine
from tests.support.build_site import build_site
from tests.support.demo_script import demo, require_nothing_left
from tests.support.waiting import wait_until

NOBODY = 65534

Busybox = Callable[[RunningEngine, str], str]


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    (tmp_path / "logs").mkdir()
    return Stage(tmp_path / "logs")


# -- the script as a whole, up to the build: what a failure and a Ctrl-C leave behind


@pytest.mark.engine
def test_a_failed_step_is_named_with_its_log_and_leaves_nothing(tmp_path: Path) -> None:
    """The build cannot reach a package index."""
    with demo(tmp_path, PIP_INDEX_URL="http://127.0.0.1:9/simple") as process:
        out, err = process.communicate(timeout=900)
    assert process.returncode == 1, out + err
    assert "demo: ok" not in out
    failure, log = (line for line in err.splitlines() if line.startswith(("demo:", "log:")))
    assert failure.startswith("demo: failed in step 6 (bundler build): bundler ended with 5")
    assert "Stop and remove what was started" in out
    assert "numpy" in Path(log.removeprefix("log: ")).read_text()
    assert not (tmp_path / "kits").exists() or not list((tmp_path / "kits").iterdir())
    require_nothing_left(process)


@pytest.mark.engine
def test_ctrl_c_in_the_build_ends_in_order_and_leaves_nothing(tmp_path: Path) -> None:
    with demo(tmp_path) as process:
        log = tmp_path / "logs" / "06.log"
        wait_until(
            lambda: process.poll() is not None or (log.exists() and "RUN python3 -m venv" in log.read_text()),
            patience_s=600,
        )
        assert process.poll() is None, process.communicate()
        os.killpg(process.pid, signal.SIGINT)
        os.killpg(process.pid, signal.SIGINT)  # an impatient person must not disturb the cleaning
        out, err = process.communicate(timeout=600)
    assert process.returncode == 130, out + err
    assert "demo: failed in step 6 (bundler build): interrupted by SIGINT" in err
    assert "Traceback" not in err
    assert list((tmp_path / "kits").glob("quickstart-*")) == []
    require_nothing_left(process)


def test_a_second_demo_in_the_same_folder_says_so(tmp_path: Path) -> None:
    with (tmp_path / ".lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        with demo(tmp_path) as process:
            _, err = process.communicate(timeout=600)
    assert process.returncode == 1
    assert f"another demo uses {tmp_path}" in err


# -- hosts


def test_an_engine_that_answers_is_used_and_left_as_it_was(
    docker20: RunningEngine, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", docker20.base_url)
    before = sorted(docker20.docker("image", "ls", "--quiet", "--all").split())
    with connected_host(stage) as host:
        assert (host.address, host.own) == (docker20.base_url, False)
        with embedded_base(stage, host, online=False) as base:
            assert base == BASE_TAG
            out = docker20.run("--network", "none", base, "python3", "-m", "venv", "--help")
            assert "usage: venv" in out
            docker20.docker("tag", base, f"{CACHE}:0123456789abcdef")  # as a build does
    assert sorted(docker20.docker("image", "ls", "--quiet", "--all").split()) == before


def as_nobody(test: Callable[[], None]) -> str | None:
    """Run ``test`` in a process of a user who is not root; what it raised, as text."""
    context = multiprocessing.get_context("fork")  # the code under test lies where nobody but root can read
    receiver, sender = context.Pipe(duplex=False)

    def child() -> None:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
        try:
            test()
        except BaseException:  # noqa: BLE001 - whatever it is, the parent shows it
            sender.send(traceback.format_exc())
        else:
            sender.send(None)

    process = context.Process(target=child)
    process.start()
    sender.close()
    assert receiver.poll(600), "no end after 600 s"
    answer: str | None = receiver.recv()
    process.join()
    return answer


@pytest.fixture
def stage_of_nobody(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A stage whose folder a user who is not root can reach and write."""
    folder = Path("/tmp") / f"bundler-demo-{os.getpid()}"
    folder.mkdir()
    os.chown(folder, NOBODY, NOBODY)
    yield Stage(folder)
    subprocess.run(["rm", "-r", folder], check=True)


@pytest.mark.engine
def test_without_root_and_without_an_engine_it_says_what_to_install(
    stage_of_nobody: Stage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no-engine.sock")

    def test() -> None:
        with connected_host(stage_of_nobody), pytest.raises(AssertionError):
            pass

    said = as_nobody(test)
    assert said is not None
    assert "StepError: no container engine can be used" in said
    assert "apt-get install docker.io" in said


@pytest.mark.engine
def test_without_root_the_loaders_place_has_no_network_but_reaches_the_local_engine(
    start_engine: Callable[..., RunningEngine], stage_of_nobody: Stage
) -> None:
    engine = start_engine(DOCKER_20)
    engine.socket.chmod(0o666)
    connected = ConnectedHost(engine.base_url, engine.environment(), own=False)
    folder = stage_of_nobody.logs / "isolated-host"

    def test() -> None:
        with isolated_host(stage_of_nobody, connected, folder) as host:
            assert not host.own
            with stage_of_nobody.step("ask") as step:
                version = host.run(step, ["docker", "version", "--format", "{{.Server.Version}}"], timeout_s=120)
            assert version.strip() == engine.version
        assert not folder.exists()

    assert as_nobody(test) is None
    assert "Network is unreachable" in (stage_of_nobody.logs / "01.log").read_text()


def test_without_root_a_kit_is_installed_from_there_and_its_names_go_again(
    docker20: RunningEngine, start_engine: Callable[..., RunningEngine], stage_of_nobody: Stage, tmp_path: Path
) -> None:
    """All of it but the build, which asks for nothing that a user may not have: a small kit under the demo's names."""
    with build_site(tmp_path / "site", docker20) as site:
        for path in (site.recipe / "recipe.yaml", site.recipe / "Dockerfile"):
            path.write_text(path.read_text().replace("small:", "quickstart:"))
        kit = stage_of_nobody.logs / "kit"
        shutil.copytree(site.build("--rehearse", "off"), kit)
    engine = start_engine(DOCKER_20)
    engine.socket.chmod(0o666)
    connected = ConnectedHost(engine.base_url, engine.environment(), own=False)
    listing = ["docker", "image", "ls", "--format", "{{.Repository}}:{{.Tag}}"]

    def test() -> None:
        with isolated_host(stage_of_nobody, connected, stage_of_nobody.logs / "isolated-host") as host:
            built = carrying.Built(kit, size=0, raw_size=0, model_size=0)
            carrying.install(stage_of_nobody, host, built)
            with stage_of_nobody.step("ask") as step:
                assert sorted(host.run(step, listing, timeout_s=120).split()) == ["quickstart:1.0.0", "quickstart:base"]
            carrying.audit(stage_of_nobody, host, built)

    assert as_nobody(test) is None
    assert engine.docker("image", "ls", "--all", "--quiet") == ""
    assert engine.docker("ps", "--all", "--quiet") == ""


def test_names_that_an_engine_holds_are_not_taken(docker20: RunningEngine, busybox: Busybox, stage: Stage) -> None:
    with stage.step("names") as step:
        require_free(step, docker20.environment())
        busybox(docker20, "quickstart:1.0.0")
        try:
            with pytest.raises(StepError, match=r"docker image rm quickstart:1\.0\.0"):
                require_free(step, docker20.environment())
        finally:
            docker20.docker("image", "rm", "quickstart:1.0.0")


# -- steps


def test_a_program_that_fails_is_shown_with_the_end_of_its_log(
    stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    with (
        pytest.raises(StepError, match=r"ended with 3\n(.*\n)*   \| no luck"),
        stage.step("Try") as step,
    ):
        step.run(
            [sys.executable, "-c", "import sys; print('no luck', file=sys.stderr); sys.exit(3)"], env={}, timeout_s=120
        )
    assert stage.failed is step
    assert capsys.readouterr().out.splitlines()[0] == " 1 Try"


def test_a_program_that_hangs_is_asked_to_end_and_may_undo(stage: Stage, tmp_path: Path) -> None:
    undone = tmp_path / "undone"
    program = f"""
import pathlib, signal, sys, time
def end(*_):
    pathlib.Path({str(undone)!r}).touch()
    sys.exit(143)
signal.signal(signal.SIGTERM, end)
signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
time.sleep(600)
"""
    with (
        sigterm_waits(),
        pytest.raises(StepError, match="no end after 1 s"),
        stage.step("Hang") as step,
    ):
        step.run([sys.executable, "-c", program], env={}, timeout_s=1)
    assert undone.exists()


@contextlib.contextmanager
def sigterm_waits() -> Iterator[None]:
    """Programs that are started here get SIGTERM when they ask for it: one that is slow to begin does not die of it."""
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
