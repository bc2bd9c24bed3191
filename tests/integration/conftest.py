"""The images that the tests of the tripwire run their commands in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bundler.core.digest import Digest
from bundler.core.docker_api import connect
from bundler.installer.engines.docker import DockerEngine
from testbed.engines import RunningEngine
from testbed.images import debian_image
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


@pytest.fixture(scope="module")
def debian(docker20: RunningEngine, bullseye_python_tar: Path) -> Iterator[tuple[DockerEngine, Digest]]:
    """Debian 11 with Python, glibc and bash."""
    image_id = debian_image(docker20, bullseye_python_tar, "bundler-test-egress:1")
    yield DockerEngine(connect(docker20.base_url)), Digest.parse(image_id)
    docker20.docker("image", "rm", "--force", image_id)
