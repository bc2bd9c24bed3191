"""A proof that was not done is never one: the control, the places where nobody can listen, and what a kill leaves."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bundler.core.digest import Digest
from bundler.core.docker_api import connect
from bundler.core.egress import WEAKER
from bundler.core.errors import CheckError
from bundler.core.progress import SilentProgress
from bundler.installer.egress import control
from bundler.installer.egress.listener import Listener
from bundler.installer.engine import Holder, RunResult, RunSpec
from bundler.installer.engines.docker import DockerEngine
from testbed import TestbedError
from testbed.engines import RunningEngine
from tests.support.calling_out import run_all, sh
from tests.support.docker_engines import ids_of

SESSION = """
import sys
from bundler.core.digest import Digest
from bundler.core.docker_api import connect
from bundler.installer.engines.docker import DockerEngine
from tests.support.calling_out import run_all
engine = DockerEngine(connect(sys.argv[1]))
run_all(engine, Digest.parse(sys.argv[2]), {"waits": ("sh", "-c", "echo begun; sleep 600")}, within_s=600.0)
"""


class _Silenced(DockerEngine):
    """Lets the control's container do nothing."""

    def run(self, image_id: Digest, spec: RunSpec) -> RunResult:
        if spec.command[-1] == control.CONTROL:
            spec = dataclasses.replace(spec, command=("/bundler-holder", "x", control.CONTROL), network=None)
        return super().run(image_id, spec)


def test_without_its_control_the_proof_is_refused(caller: tuple[DockerEngine, Digest], docker20: RunningEngine) -> None:
    _, image_id = caller
    with pytest.raises(CheckError, match=r"a packet and a question sent on purpose, was not caught") as caught:
        run_all(_Silenced(connect(docker20.base_url)), image_id, {"any": sh("true")})
    assert caught.value.exit_code == 9


def test_a_control_that_is_half_caught_is_not_caught(
    caller: tuple[DockerEngine, Digest], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "CONTROL_NAME", "another.invalid")
    with pytest.raises(CheckError, match="its control, a question sent on purpose, was not caught"):
        run_all(*caller, {"any": sh("true")})


def test_a_wire_that_breaks_is_no_proof(caller: tuple[DockerEngine, Digest], monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Listener, since: float) -> object:
        raise OSError("gone")

    monkeypatch.setattr(control, "require_control", lambda *_: None)
    monkeypatch.setattr("bundler.installer.egress.watch.require_control", lambda *_: None)
    monkeypatch.setattr(Listener, "collect", broken)
    with pytest.raises(CheckError, match="was not done: its wire could not be read: gone"):
        run_all(*caller, {"any": sh("true")})


class _OtherProcesses(DockerEngine):
    """An engine whose processes have other numbers here."""

    @contextlib.contextmanager
    def holder(self) -> Iterator[Holder]:
        with super().holder() as holder:
            yield dataclasses.replace(holder, pid=os.getpid())


class _Noted(SilentProgress):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def test_the_weaker_proof_says_that_it_is_one(caller: tuple[DockerEngine, Digest], docker20: RunningEngine) -> None:
    noted = _Noted()
    why = "the engine's processes are not seen from here: it is on another host, or in a name space of its own"
    engine = _OtherProcesses(connect(docker20.base_url))
    result = run_all(engine, caller[1], {"any": sh("busybox nslookup a.example >/dev/null; true")}, noted)["any"]
    assert result.passed
    assert result.no_egress is not None
    assert result.no_egress.proof == WEAKER
    assert result.no_egress.why == why
    assert [note for note in noted.notes if note == f"weaker proof that nothing calls out: {why}"]


def test_a_user_without_rights_gets_the_weaker_proof(
    caller: tuple[DockerEngine, Digest], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    result = run_all(*caller, {"any": sh("true")})["any"]
    assert result.no_egress is not None
    assert (result.passed, result.no_egress.proof) == (True, WEAKER)
    assert "root" in result.no_egress.why


def test_a_kernel_that_refuses_gets_the_weaker_proof(
    caller: tuple[DockerEngine, Digest], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(namespace: Path) -> object:
        raise PermissionError(1, "unshare: Operation not permitted")

    monkeypatch.setattr("bundler.installer.egress.watch.lay_wire", refused)
    result = run_all(*caller, {"any": sh("true")})["any"]
    assert result.no_egress is not None
    assert "Operation not permitted" in result.no_egress.why


def test_what_a_killed_run_leaves_is_removed_by_the_next(
    caller: tuple[DockerEngine, Digest], docker20: RunningEngine
) -> None:
    engine, image_id = caller
    standing = ids_of(docker20)
    argv = [sys.executable, "-c", SESSION, docker20.base_url, str(image_id)]
    paths = os.pathsep.join([".", "scripts"])
    process = subprocess.Popen(argv, env={**os.environ, "PYTHONPATH": paths})
    while "begun" not in _logs(docker20):
        assert process.poll() is None, "it was to be killed in the middle"
        time.sleep(0.1)
    assert not Path("/sys/class/net/wire").exists()  # it is seen in nobody's name space but its own
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert len(docker20.docker("ps", "--quiet").split()) == 2
    assert len(ids_of(docker20) - standing) == 1
    assert engine.remove_leftovers() == 2
    assert docker20.docker("ps", "--all", "--quiet").split() == []
    assert ids_of(docker20) == standing


def _logs(running: RunningEngine) -> str:
    """What the containers printed; the control's is gone while one looks, and a holder has no log."""
    told = ""
    for name in running.docker("ps", "--quiet", "--no-trunc").split():
        with contextlib.suppress(TestbedError):
            told += running.docker("logs", name)
    return told
