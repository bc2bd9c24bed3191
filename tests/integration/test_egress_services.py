"""Real software under the tripwire: leaks are named and honest services are silent, as the table at the end shows.

It runs as a careful deployment does: as nobody, on a root file system that is read-only, without capabilities.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pytest

from bundler.core.check_result import CheckResult
from bundler.core.digest import Digest
from bundler.core.docker_api import connect
from bundler.installer.engine import RunSpec
from bundler.installer.engines.docker import DockerEngine
from testbed.engines import RunningEngine
from testbed.images import debian_image
from testbed.services import LIBRARIES, service_mounts, services_rootfs
from tests.support.calling_out import is_named, is_silent, run_all, told_fault
from tests.support.egress_table import note_honest, note_leaks
from tests.support.printed_tables import RecordProperty
from tests.support.real_leaks import REAL_LEAKS
from tests.support.real_services import REAL_HONEST

pytestmark = pytest.mark.engine

_NOBODY = "65534:65534"
_ENVIRONMENT = {"HOME": "/tmp", "PYTHONPATH": LIBRARIES, "PYTHONDONTWRITEBYTECODE": "1"}
#: What the slowest takes on a slow machine; those that do their work end long before.
_WITHIN_S = 180.0
_SOAK_ENGINES = ("docker26", "docker26_containerd", "docker28", "docker28_containerd")
_ENGINES = ["docker20", *(pytest.param(name, marks=pytest.mark.soak) for name in _SOAK_ENGINES)]


@dataclass(frozen=True)
class Services:
    """An engine with the image that all of it runs in."""

    name: str
    engine: DockerEngine
    image_id: Digest

    def run(self, commands: Mapping[str, tuple[str, ...]]) -> dict[str, CheckResult]:
        surroundings = RunSpec((), 0.0, env=_ENVIRONMENT, mounts=service_mounts())
        return run_all(
            self.engine, self.image_id, commands, within_s=_WITHIN_S, user=_NOBODY, surroundings=surroundings
        )


@pytest.fixture(scope="module", params=_ENGINES)
def services(request: pytest.FixtureRequest) -> Iterator[Services]:
    running: RunningEngine = request.getfixturevalue(request.param)
    image_id = debian_image(running, services_rootfs().path, "bundler-test-services:1")
    yield Services(running.kind.name, DockerEngine(connect(running.base_url)), Digest.parse(image_id))
    running.docker("image", "rm", "--force", image_id)
    assert running.docker("ps", "--all", "--quiet").split() == []


def test_leaks_of_real_software_are_named(services: Services, record_property: RecordProperty) -> None:
    results = services.run({name: leak.command for name, leak in REAL_LEAKS.items()})
    note_leaks(record_property, services.name, REAL_LEAKS, results)
    assert all(leak.process for leak in REAL_LEAKS.values())
    missed = {name: told_fault(results[name]) for name, leak in REAL_LEAKS.items() if not is_named(leak, results[name])}
    assert missed == {}


def test_honest_services_of_real_software_are_silent(services: Services, record_property: RecordProperty) -> None:
    results = services.run(REAL_HONEST)
    note_honest(record_property, services.name, results)
    assert {name: told_fault(result) for name, result in results.items() if not is_silent(result)} == {}
