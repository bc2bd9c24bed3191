"""What ``bundler init`` writes is built as it stands, with the real weights; only the registry's image is ours."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
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


@pytest.mark.engine
def test_a_recipe_of_ours_works_under_another_name_with_another_model(docker20: RunningEngine, tmp_path: Path) -> None:
    """The same weights in another repo: of what `init` wrote nothing is changed but how long a busy host may take."""
    made = tmp_path / "made" / "my-search"
    argv = [sys.executable, "-m", "bundler", "init", "--from", "quickstart", "--model", "acme/minilm", str(made)]
    subprocess.run(argv, check=True, capture_output=True, timeout=900)
    recipe = made / "recipe.yaml"
    recipe.write_text(re.sub(r"(within|load_budget): \w+", r"\1: 10m", recipe.read_text()))
    (tmp_path / "logs").mkdir()
    env = {**docker20.environment(), "DOCKER_HOST": docker20.base_url, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    host = ConnectedHost(docker20.base_url, env, own=False)
    with python_image(docker20, tmp_path), Hub([HubRepo("acme/minilm", weights.minilm())]) as hub:
        built = carrying.build(Stage(tmp_path / "logs"), host, tmp_path, hub.endpoint, None, made)
    assert built.kit.name == "my-search-1.0.0-linux-amd64"
    bundle = json.loads((built.kit / "head" / "bundle.json").read_text())
    assert [model["repo_id"] for model in bundle["models"]] == ["acme/minilm"]
    assert [image["reference"].rpartition("/")[2] for image in bundle["images"]] == [
        "my-search:base",
        "my-search:1.0.0",
    ]
    checks = json.loads((built.kit / "papers" / "checks.json").read_text())["checks"]
    found = {check["name"]: check["passed"] for check in checks}
    # What was recorded of the other model is compared with nothing.
    assert {name: found.get(name) for name in ("answers", "vectors", "loads", "serves")} == {
        "answers": True,
        "vectors": None,
        "loads": True,
        "serves": True,
    }
