"""Where in the code: a real Python 3.9 of Debian 11 in a real engine, whose calls are told with file and line."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bundler.core.check_result import CheckResult
from bundler.core.digest import Digest
from bundler.core.docker_api import connect
from bundler.core.egress import TRIPWIRE, Attempt
from bundler.core.errors import CheckError
from bundler.core.progress import SilentProgress
from bundler.installer.checks.running import require_passed
from bundler.installer.egress.python_hook.reports import short_address
from bundler.installer.engines.docker import DockerEngine
from testbed.engines import RunningEngine
from testbed.images import debian_image
from tests.bundles import make_bundle
from tests.sites import site_at
from tests.support.calling_out import python, run_all
from tests.support.honest_services import DEBIAN_HONEST
from tests.support.hooked_service import INSTALLED, line_of, service_image
from tests.support.leaks import DEBIAN_LEAKS

Hooked = tuple[DockerEngine, Digest]
EMBEDDER, ASYNCHRONOUS = "app/service/embedder.py", "app/asynchronous.py"


@pytest.fixture(scope="module")
def service(
    docker20: RunningEngine, bullseye_python_tar: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Hooked]:
    """The service of `hooked_service` above Debian 11 with Python."""
    base = debian_image(docker20, bullseye_python_tar, "bundler-test-where:base")
    image_id = service_image(docker20, base, "bundler-test-where:1", tmp_path_factory.mktemp("service"))
    yield DockerEngine(connect(docker20.base_url)), Digest.parse(image_id)
    docker20.docker("image", "rm", "bundler-test-where:1")
    docker20.docker("image", "rm", "bundler-test-where:base")


def hooked(
    service: Hooked, commands: dict[str, tuple[str, ...]], env: dict[str, str] | None = None
) -> dict[str, CheckResult]:
    return run_all(*service, commands, where_in_code=True, env=env)


def attempts(result: CheckResult) -> dict[str, Attempt]:
    """What was tried, by name or address."""
    assert result.no_egress is not None
    assert (result.no_egress.proof, result.no_egress.where_in_code) == (TRIPWIRE, True)
    return {attempt.name or attempt.address: attempt for attempt in result.no_egress.attempts}


def told_from_load(result: CheckResult) -> bool:
    """Whether both attempts of the service are told with its own line and with the library's."""
    own = f", at /{EMBEDDER} line {line_of(EMBEDDER, 'return cached_file')} in load"
    lines = [line_of(INSTALLED, text) for text in ("socket.getaddrinfo", "socket.create_connection")]
    return all(f"{own} (hublike/hub.py line {line})" in result.detail for line in lines)


def test_a_leak_deep_inside_is_told_with_file_line_and_function(service: Hooked) -> None:
    result = hooked(service, {"service": ("python3", "-m", "service")})["service"]
    assert told_from_load(result), result.detail
    (place,) = attempts(result)["203.0.113.21"].places
    assert (place.event, place.host, place.port, place.pid) == ("socket.connect", "203.0.113.21", 443, 1)
    functions = [
        (frame.file, frame.function) for frame in place.stack if frame.file.startswith(("/app", "/usr/lib/python3/"))
    ]
    assert functions[-4:] == [
        ("/app/service/embedder.py", "start"),
        ("/app/service/embedder.py", "load"),
        ("/" + INSTALLED, "cached_file"),
        ("/" + INSTALLED, "fetch"),
    ]
    (asked,) = attempts(result)["hub.example.com"].places
    assert asked.event == "socket.getaddrinfo"


def test_children_are_hooked_too(service: Hooked) -> None:
    kinds = ("subprocess", "fork", "spawn", "forkserver")
    results = hooked(service, {kind: ("python3", "/app/children.py", kind) for kind in kinds})
    assert [kind for kind in kinds if not told_from_load(results[kind])] == []


def test_asyncio_is_told_by_its_coroutines(service: Hooked) -> None:
    result = hooked(service, {"asyncio": ("python3", "/app/asynchronous.py")})["asyncio"]
    for text, function in (("async.example.com", "ask"), ("203.0.113.22", "report")):
        line = line_of(ASYNCHRONOUS, text)
        (place,) = attempts(result)[text].places
        assert place.told == f"/{ASYNCHRONOUS} line {line} in {function}"


def test_what_the_hook_does_not_see_is_named_all_the_same(service: Hooked) -> None:
    isolated = ("python3", "-I", "-c", DEBIAN_LEAKS["an exception that Python swallows"].command[2])
    results = hooked(service, {"ctypes": DEBIAN_LEAKS["ctypes"].command, "isolated": isolated})
    assert attempts(results["ctypes"])["203.0.113.7"].places == ()
    assert attempts(results["isolated"])["203.0.113.9"].places == ()


@pytest.mark.parametrize("env", [{}, {"PYTHONPATH": "/more:/app"}])
def test_the_image_s_own_modules_work_as_ever(service: Hooked, env: dict[str, str]) -> None:
    script = f"""
        import os, sys
        assert image_says == "this is ours"
        assert sys.modules["sitecustomize"].__file__ == "/app/sitecustomize.py"
        assert "bundler_calls" not in sys.modules
        assert not [path for path in sys.path if "bundler" in path], sys.path
        assert os.environ["PYTHONPATH"].split(":")[1:] == {env.get("PYTHONPATH", "/app").split(":")!r}
        import service.embedder
        if {bool(env)}:
            import elsewhere
    """
    result = hooked(service, {"own": python(script)}, env)["own"]
    assert result.passed, result.detail


def test_honest_services_are_silent_with_the_hook(service: Hooked) -> None:
    results = hooked(service, DEBIAN_HONEST)
    assert {name: result.detail for name, result in results.items() if not result.passed} == {}


def test_floods_end_and_are_bounded(service: Hooked) -> None:
    floods = {"of calls": ("python3", "/app/flood.py"), "of reports": ("python3", "/app/hostile.py")}
    results = hooked(service, {**floods, "after": ("python3", "-m", "service")})
    flood = results["of calls"].no_egress
    assert flood is not None
    assert sum(attempt.count for attempt in flood.attempts) == 20_000
    assert 0 < sum(len(attempt.places) for attempt in flood.attempts) <= 200
    assert flood.untold_calls > 0
    assert "ended with" not in results["of calls"].detail
    assert results["of reports"].passed, results["of reports"].detail
    assert told_from_load(results["after"])


@dataclass
class Notes(SilentProgress):
    """Keeps what a person would be told meanwhile."""

    noted: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        self.noted.append(text)


HIDDEN = """
import json, sys
from bundler.core.digest import Digest
from bundler.core.docker_api import connect
from bundler.installer.engines.docker import DockerEngine
from tests.integration.test_where_in_code import Notes
from tests.support.calling_out import run_all
engine, notes = DockerEngine(connect(sys.argv[1])), Notes()
result = run_all(engine, Digest.parse(sys.argv[2]), {"any": ("python3", "-m", "service")}, notes, where_in_code=True)
print(json.dumps([result["any"].to_json(), notes.noted]))
"""


def test_where_the_engine_does_not_see_our_files_it_goes_without_and_says_so(
    service: Hooked, docker20: RunningEngine, tmp_path: Path
) -> None:
    hide = 'mount -t tmpfs none "$TMPDIR" && exec "$@"'
    argv = [
        "unshare",
        "--mount",
        "sh",
        "-c",
        hide,
        "sh",
        sys.executable,
        "-c",
        HIDDEN,
        docker20.base_url,
        str(service[1]),
    ]
    env = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": ".:scripts"}
    done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=300, check=True)
    result, noted = json.loads(done.stdout)
    assert result["no_egress"]["proof"] == TRIPWIRE
    assert "where_in_code" not in result["no_egress"]
    assert {attempt["address"] for attempt in result["no_egress"]["attempts"]} == {"192.0.2.53", "203.0.113.21"}
    assert any(text.startswith("where in the code is not looked for: the engine does not see") for text in noted)


def test_what_a_killed_run_left_is_removed_and_what_runs_is_not(
    service: Hooked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    left, running = (tmp_path / f"bundler-where-in-code-{name}" for name in ("left", "running"))
    sockets = [socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(2)]
    for sock, directory in zip(sockets, (left, running), strict=True):
        (directory / "seen").mkdir(parents=True)
        with short_address(directory / "seen" / "report") as address:
            sock.bind(address)
    sockets[0].close()
    assert hooked(service, {"any": ("true",)})["any"].passed
    assert list(tmp_path.iterdir()) == [running]
    sockets[1].close()


def test_the_commands_take_the_option_and_their_results_say_so(docker20: RunningEngine, tmp_path: Path) -> None:
    with site_at(docker20, tmp_path / "state") as site:
        done = site.run("install", make_bundle(tmp_path / "kit"), "--where-in-code")
        assert "Python processes ran with a hook" in done.stdout, done.stderr
        (results,) = json.loads(site.run("check", "--json", "--where-in-code").stdout).values()
        told = results[-1]["no_egress"]
        assert (told["proof"], told["attempts"], told["where_in_code"]) == ("tripwire", [], True)
        (results,) = json.loads(site.run("check", "--json").stdout).values()
        assert "where_in_code" not in results[-1]["no_egress"]


def test_an_image_is_told_by_its_lines_as_it_starts(service: Hooked, docker20: RunningEngine, tmp_path: Path) -> None:
    assert service
    with site_at(docker20, tmp_path / "state") as site:
        plain = site.run("check", "bundler-test-where:1", "--watch", "20")
        assert (plain.returncode, plain.stdout.count("`bundler check --where-in-code`")) == (9, 1), plain.stderr
        told = site.run("check", "bundler-test-where:1", "--watch", "20", "--where-in-code")
        assert told.returncode == 9
        assert f"at /{EMBEDDER} line {line_of(EMBEDDER, 'return cached_file')} in load (hublike/hub.py" in told.stdout
        assert "`bundler check --where-in-code`" not in told.stdout


def test_who_is_refused_for_python_hears_of_the_option_once(service: Hooked) -> None:
    commands = dict.fromkeys(("one", "two"), ("python3", "-m", "service"))
    with pytest.raises(CheckError) as caught:
        require_passed(tuple(run_all(*service, commands).values()), "kit")
    assert str(caught.value.remedy).count("`bundler install --where-in-code`") == 1
    with pytest.raises(CheckError) as caught:
        require_passed(tuple(hooked(service, commands).values()), "kit")
    assert "--where-in-code" not in str(caught.value.remedy)


def test_without_the_option_nothing_of_it_is_there(service: Hooked) -> None:
    script = """
        import os
        assert os.environ["PYTHONPATH"] == "/app"
        assert not os.path.exists("/bundler-where-in-code")
        from service.embedder import start
        start()
    """
    result = run_all(*service, {"plain": python(script)})["plain"]
    assert result.no_egress is not None
    assert not result.no_egress.where_in_code
    assert {attempt.places for attempt in result.no_egress.attempts} == {()}
