"""What ``bundler init`` writes is built as it stands, with the real weights; only the registry's image is ours."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from testbed import weights
from testbed.engines import RunningEngine
from testbed.hub import Hub
from testbed.hub_repo import HubRepo
from tests.support.python_image import python_image


@pytest.mark.engine
def test_the_recipe_of_init_works_as_it_stands(docker20: RunningEngine, tmp_path: Path) -> None:
    env = {**os.environ, **docker20.environment(), "DOCKER_HOST": docker20.base_url, "XDG_CACHE_HOME": str(tmp_path)}
    env.pop("HF_ENDPOINT", None)

    def bundler(*arguments: str) -> str:
        argv = [sys.executable, "-m", "bundler", *arguments]
        done = subprocess.run(argv, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=900, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    told = bundler("init", "answers")
    assert "type: bundler build answers" in told
    with python_image(docker20, tmp_path), Hub([HubRepo(weights.REPO_ID, weights.minilm())]) as hub:
        result = json.loads(bundler("build", "answers", "--endpoint", hub.endpoint, "--json"))
    assert result["title"] == "answers-1.0.0-linux-amd64"
    assert {check["name"]: check["passed"] for check in result["checks"] if check["kind"] == "run"} == {
        "weights": True,
        "answers": True,
    }
