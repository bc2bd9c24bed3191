"""The image that the tests of the tripwire run their commands in."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bundler.core.digest import Digest
from bundler.installer.engines.docker import DockerEngine
from testbed.engines import RunningEngine
from tests.support.calling_out import loaded
from tests.support.docker_engines import ids_of


@pytest.fixture
def caller(docker20: RunningEngine) -> Iterator[tuple[DockerEngine, Digest]]:
    """An engine and a busybox image on it; afterwards nothing of the proof is left there."""
    before = ids_of(docker20)
    yield loaded(docker20)
    left = docker20.docker("ps", "--all", "--quiet").split()
    docker20.docker("image", "rm", "--force", *(ids_of(docker20) - before))
    assert left == []
