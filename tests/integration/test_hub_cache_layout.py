"""What a bundle's layouts are for: the real libraries find the models, offline, read-only, as a user of nobody's choosing."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models, pre_tokenizers

from testbed import debian, libraries, weights
from testbed.engines import RunningEngine
from testbed.hub import Hub
from testbed.hub_repo import HubRepo
from testbed.images import debian_image

pytestmark = pytest.mark.engine
OS, IMAGE = "layouts-test:os", "layouts-test:1"
CACHE, PLAIN = "/app/hub", "/app/models/tiny"
TINY, TAG = "acme/tiny", "v1.0"
USER = "23456:23456"
RECIPE = f"""\
format: 1
name: layouts
version: "1"
platform: linux/amd64
models:
  - {{ name: minilm, repo: {weights.REPO_ID}, path: {CACHE}, layout: hub-cache, require: [modules.json] }}
  - {{ name: tiny, repo: {TINY}, revision: {TAG}, path: {CACHE}, layout: hub-cache }}
  - {{ name: plain, repo: {TINY}, path: {PLAIN}, owner: {{ uid: 7, gid: 8 }} }}
base: {{ image: "{OS}", tag: "{IMAGE}" }}
"""
#: Runs in the container: each way in which services name a model, and what comes of it.
LOOK = """
import hashlib, json, os, pathlib, sys
from huggingface_hub import hf_hub_download, snapshot_download, try_to_load_from_cache
from transformers import AutoConfig, AutoTokenizer

def sums(folder):
    root = pathlib.Path(folder)
    files = [path for path in sorted(root.rglob("*")) if path.is_file()]
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}

def looked_up(name, **revision):
    folder = snapshot_download(name, local_files_only=True, **revision)
    asked_of_the_hub = snapshot_download(name, **revision)
    one = hf_hub_download(name, "model.safetensors", **revision)
    return {
        "folder": folder,
        "same": folder == asked_of_the_hub and one == folder + "/model.safetensors",
        "cached": try_to_load_from_cache(name, "config.json", **revision) == folder + "/config.json",
        "sums": sums(folder),
        **loaded(name, **revision),
    }

def loaded(name, **revision):
    tokenizer = AutoTokenizer.from_pretrained(name, **revision)
    config = AutoConfig.from_pretrained(name, **revision)
    return {"size": config.hidden_size, "ids": tokenizer("hello world")["input_ids"]}

found = {}
for case in json.loads(sys.argv[1]):
    name, revision = case["name"], case["revision"]
    key = f"{name}@{revision}" if revision else name
    found[key] = looked_up(name, **({"revision": revision} if revision else {}))
plain = sys.argv[2]
found[plain] = {"sums": sums(plain), **loaded(plain)}
found["user"] = [os.getuid(), os.environ["HF_HUB_CACHE"], os.environ["HF_HUB_OFFLINE"]]
print(json.dumps(found))
"""


@dataclass(frozen=True)
class Seen:
    """What the container printed, and the commits of the lock by name."""

    found: Mapping[str, Any]
    commits: Mapping[str, str]
    sources: Mapping[str, Path]


def write_tiny(directory: Path, size: int) -> Path:
    """A model that the libraries load, of a few hundred bytes."""
    directory.mkdir()
    tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0, "hello": 1, "world": 2}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(directory / "tokenizer.json"))
    (directory / "tokenizer_config.json").write_text(
        '{"tokenizer_class": "PreTrainedTokenizerFast", "unk_token": "[UNK]"}'
    )
    (directory / "config.json").write_text(json.dumps({"model_type": "bert", "hidden_size": size}))
    save_file({"w": np.ones((size,), np.float32)}, directory / "model.safetensors")
    (directory / "README.md").write_text("---\nlicense: mit\n---\nTiny.\n")
    return directory


def bundler(engine: RunningEngine, home: Path, *arguments: str) -> None:
    env = {**os.environ, **engine.environment(), "DOCKER_HOST": engine.base_url, "XDG_CACHE_HOME": str(home)}
    env.pop("HF_ENDPOINT", None)
    argv = [sys.executable, "-m", "bundler", *arguments]
    done = subprocess.run(argv, env=env, cwd=home, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr


def run(engine: RunningEngine, *argv: str) -> str:
    sealed = ["--network", "none", "--read-only", "--tmpfs", "/tmp", "--user", USER]
    return engine.run(*sealed, IMAGE, *argv)


@pytest.fixture(scope="module")
def seen(docker20: RunningEngine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    home = tmp_path_factory.mktemp("layouts")
    (home / "recipe").mkdir()
    (home / "recipe" / "recipe.yaml").write_text(RECIPE)
    minilm, now, then = weights.minilm(), write_tiny(home / "now", 32), write_tiny(home / "then", 16)
    python_image(docker20, home)
    try:
        with Hub([HubRepo(weights.REPO_ID, minilm), HubRepo(TINY, now, {TAG: then})]) as hub:
            bundler(
                docker20,
                home,
                "build",
                "recipe",
                "--endpoint",
                hub.endpoint,
                "--rehearse",
                "off",
                "--load",
                "--level",
                "1",
            )
        lock = json.loads((home / "recipe" / "recipe.lock").read_text())
        commits = {model["name"]: model["commit"] for model in lock["models"]}
        cases = [
            *({"name": weights.REPO_ID, "revision": each} for each in (None, "main", commits["minilm"])),
            *({"name": TINY, "revision": each} for each in (None, TAG, commits["tiny"])),
        ]
        found = json.loads(run(docker20, "python3", "-c", LOOK, json.dumps(cases), PLAIN).splitlines()[-1])
        yield Seen(found, commits, {weights.REPO_ID: minilm, TINY: then, PLAIN: now})
    finally:
        docker20.docker("rmi", "--force", IMAGE, OS)


def python_image(engine: RunningEngine, home: Path) -> None:
    """Debian's Python with the real libraries."""
    rootfs = debian.python_rootfs().path
    debian_image(engine, rootfs, f"{OS}-plain")
    (home / "Dockerfile").write_text(f"FROM {OS}-plain\nCOPY . /opt/site\nENV PYTHONPATH=/opt/site\n")
    try:
        context = str(libraries.site_packages())
        engine.docker("build", "--quiet", "--tag", OS, "--file", str(home / "Dockerfile"), context)
    finally:
        engine.docker("rmi", "--force", f"{OS}-plain")


def sums(directory: Path) -> dict[str, str]:
    files = [path for path in sorted(directory.rglob("*")) if path.is_file()]
    return {str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.parametrize("revision", [None, "main", "the commit"])
def test_the_real_model_is_found_by_its_name(seen: Seen, revision: str | None) -> None:
    assert_found(seen, "minilm", weights.REPO_ID, revision)


@pytest.mark.parametrize("revision", [None, TAG, "the commit"])
def test_another_model_of_the_same_cache_is_found_by_the_revision_that_was_asked(
    seen: Seen, revision: str | None
) -> None:
    assert seen.commits["tiny"] != seen.commits["plain"]
    assert_found(seen, "tiny", TINY, revision)


def assert_found(seen: Seen, name: str, repo: str, revision: str | None) -> None:
    commit = seen.commits[name]
    asked = commit if revision == "the commit" else revision
    found = seen.found[f"{repo}@{asked}" if asked else repo]
    assert found["folder"] == f"{CACHE}/models--{repo.replace('/', '--')}/snapshots/{commit}"
    assert (found["same"], found["cached"]) == (True, True)
    assert found["sums"] == sums(seen.sources[repo])
    assert found["size"] == json.loads((seen.sources[repo] / "config.json").read_text())["hidden_size"]


def test_the_tokenizers_are_those_of_the_models(seen: Seen) -> None:
    assert seen.found[weights.REPO_ID]["ids"] == [101, 7592, 2088, 102]
    assert seen.found[TINY]["ids"] == seen.found[PLAIN]["ids"] == [1, 2]


def test_a_plain_model_is_found_by_its_path(seen: Seen) -> None:
    assert seen.found[PLAIN]["sums"] == sums(seen.sources[PLAIN])
    assert seen.found[PLAIN]["size"] == 32


def test_it_ran_as_a_foreign_user_and_was_told_to_stay_offline(seen: Seen) -> None:
    assert seen.found["user"] == [23456, CACHE, "1"]


def test_labels_say_what_is_inside(seen: Seen, docker20: RunningEngine) -> None:
    (document,) = json.loads(docker20.docker("image", "inspect", IMAGE))
    labels = document["Config"]["Labels"]
    assert labels["minilm.model"] == f"{weights.REPO_ID}@{seen.commits['minilm']}"
    assert labels["plain.model"] == f"{TINY}@{seen.commits['plain']}"


def test_what_was_not_brought_is_not_there(seen: Seen, docker20: RunningEngine) -> None:
    code = (
        "from huggingface_hub import hf_hub_download as get\n"
        f"try: get({TINY!r}, 'config.json', revision='v2.0')\n"
        "except Exception as error: print(type(error).__name__)\n"
    )
    assert run(docker20, "python3", "-c", code).strip() == "LocalEntryNotFoundError"
