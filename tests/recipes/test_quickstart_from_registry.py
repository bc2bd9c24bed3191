"""The quickstart on a slim Python out of a registry, which is what its recipe asks for where one is reached."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from demo_steps import carrying
from demo_steps.hosts import ConnectedHost
from demo_steps.stage import Stage
from testbed import weights
from testbed.engines import RunningEngine
from testbed.hub import Hub
from testbed.hub_repo import HubRepo
from tests.support.python_image import python_image


@pytest.mark.engine
def test_a_slim_python_is_pinned_by_the_digest_of_its_registry(
    docker20: RunningEngine, registry: str, tmp_path: Path
) -> None:
    (tmp_path / "logs").mkdir()
    env = {**docker20.environment(), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    host = ConnectedHost(docker20.base_url, {**env, "DOCKER_HOST": docker20.base_url}, own=False)
    with python_image(docker20, tmp_path, f"{registry}/python:3.12-slim") as base:
        docker20.docker("push", "--quiet", base)
        pushed = docker20.docker("image", "inspect", "--format", "{{index .RepoDigests 0}}", base)
        with Hub([HubRepo(weights.REPO_ID, weights.minilm())]) as hub:
            built = carrying.build(Stage(tmp_path / "logs"), host, tmp_path, hub.endpoint, base)
    lock = json.loads((tmp_path / "quickstart" / "recipe.lock").read_text())
    (locked,) = lock["images"]
    assert (locked["role"], locked["asked"], locked["kind"]) == ("from", base, "registry-digest")
    assert pushed.strip().endswith(f"@{locked['value']}")
    checks = json.loads((built.kit / "papers" / "checks.json").read_text())
    assert "answers" in json.dumps(checks)
