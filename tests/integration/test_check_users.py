"""As whom checks run: as the image's user or the one that they name, and never as root unless they name that."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bundler.core.check_result import CheckResult
from bundler.core.checks import RunCheck
from bundler.core.digest import Digest
from bundler.core.docker_api import connect
from bundler.core.progress import SilentProgress
from bundler.installer.checks.running import run_commands
from bundler.installer.checks.start import check_start
from bundler.installer.engines.docker import DockerEngine
from testbed.engines import RunningEngine
from tests.support.calling_out import IMAGE
from tests.support.docker_engines import ids_of, load
from tests.support.handmade import entry, make_image, make_layer, shell_layer

_LAYERS = [shell_layer(), make_layer(entry("secret", b"for root\n", mode=0o600))]


@pytest.fixture
def engine(docker20: RunningEngine) -> Iterator[DockerEngine]:
    before = ids_of(docker20)
    yield DockerEngine(connect(docker20.base_url))
    docker20.docker("image", "rm", "--force", *(ids_of(docker20) - before))


def image(engine: DockerEngine, config: dict[str, object]) -> Digest:
    return load(engine, make_image(str(IMAGE), _LAYERS, config), _LAYERS)


def checked(engine: DockerEngine, image_id: Digest, script: str, user: str | None) -> CheckResult:
    check = RunCheck("who", IMAGE, ("sh", "-c", script), 120.0, user, {}, (), False, ("^uid=",), ())
    (result,) = run_commands([check], {IMAGE: image_id}, engine, SilentProgress())
    return result


@pytest.mark.parametrize(
    ("of_image", "of_check", "uid"),
    [
        ("", None, 65534),
        ("0:0", None, 65534),
        ("root", None, 65534),
        ("10001:10001", None, 10001),
        ("10001", "10002", 10002),
        ("", "0", 0),
        ("10001", "0:0", 0),
    ],
)
def test_root_runs_a_check_only_where_it_says_so(
    engine: DockerEngine, of_image: str, of_check: str | None, uid: int
) -> None:
    result = checked(engine, image(engine, {"User": of_image}), f"test $(id -u) = {uid} && id", of_check)
    assert result.passed, result.detail


def test_what_fails_for_want_of_root_says_as_whom_it_ran(engine: DockerEngine) -> None:
    image_id = image(engine, {})
    refused = checked(engine, image_id, "id; cat /secret", None)
    assert refused.failed
    assert "it ran as 65534:65534, for the image's user is root, and `user:` names another one" in refused.detail
    assert checked(engine, image_id, "id; cat /secret", "0").passed
    own = checked(engine, image(engine, {"User": "10001"}), "id; cat /secret", None)
    assert own.failed
    assert "65534" not in own.detail


def test_an_image_without_checks_is_not_started_as_root(engine: DockerEngine) -> None:
    image_id = image(engine, {"Cmd": ["sh", "-c", "test $(id -u) = 65534"]})
    result = check_start("it", image_id, 120.0, engine, SilentProgress())
    assert result.passed, result.detail
