"""``bundler lock``, ``fetch`` and ``cache`` as a person types them, against a Hub on loopback; no engine is asked."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from testbed.hub import Hub
from testbed.hub_repo import HubRepo
from tests.support.build_site import REPO, write_model, write_recipe


@dataclass(frozen=True)
class Place:
    """A recipe, a Hub with its model, a cache; commands run in processes of their own."""

    root: Path
    hub: Hub

    @property
    def recipe(self) -> Path:
        return self.root / "recipe"

    @property
    def cache(self) -> Path:
        return self.root / "cache" / "bundler"

    @property
    def lock(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads((self.recipe / "recipe.lock").read_bytes())
        return document

    def run(self, *arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "XDG_CACHE_HOME": str(self.root / "cache"), "HF_ENDPOINT": self.hub.endpoint}
        environment.pop("HF_TOKEN", None)
        return subprocess.run(
            [sys.executable, "-m", "bundler", *arguments],
            env={**environment, "HOME": str(self.root), **(env or {})},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )

    def well(self, *arguments: str, env: dict[str, str] | None = None) -> dict[str, Any]:
        done = self.run(*arguments, "--json", env=env)
        assert done.returncode == 0, done.stderr
        document: dict[str, Any] = json.loads(done.stdout)
        return document

    def refused(self, code: int, *arguments: str, env: dict[str, str] | None = None) -> str:
        done = self.run(*arguments, env=env)
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr
        assert "where: " in done.stderr and "do: " in done.stderr
        return done.stderr

    def edit(self, before: str, after: str) -> None:
        path = self.recipe / "recipe.yaml"
        text = path.read_text()
        assert before in text
        path.write_text(text.replace(before, after, 1))


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    write_recipe(tmp_path / "recipe")
    with Hub([HubRepo(REPO, write_model(tmp_path / "repo"))]) as hub:
        yield Place(tmp_path, hub)


# -- lock


def test_a_lock_without_an_engine_says_everything_of_the_models(place: Place) -> None:
    report = place.well("lock", str(place.recipe), "--models-only")
    (model,) = place.lock["models"]
    assert model["commit"] == place.hub.commit(REPO) == report["models"][0]["commit"]
    assert place.lock["images"] is None
    assert model["license"]["id"] == "apache-2.0"
    assert [text["path"] for text in model["license"]["texts"]] == ["LICENSE"]
    assert model["license"]["texts"][0]["text"] == "Do as you like.\n"
    assert model["has_safetensors"]
    assert place.well("lock", str(place.recipe), "--models-only")["changes"] == []


def test_a_branch_that_moved_moves_the_lock_only_when_asked_to(place: Place) -> None:
    place.well("lock", str(place.recipe), "--models-only")
    before = place.hub.commit(REPO)
    after = place.hub.push(REPO, write_model(place.root / "moved", seed=2))
    assert place.well("lock", str(place.recipe), "--models-only")["changes"] == []
    assert place.lock["models"][0]["commit"] == before
    changes = place.well("lock", str(place.recipe), "--models-only", "--upgrade")["changes"]
    assert changes[0] == f"tiny: commit {before} -> {after}"
    assert any("model.safetensors" in line for line in changes)
    assert place.lock["models"][0]["commit"] == after
    assert "no model 'other'" in place.refused(2, "lock", str(place.recipe), "--models-only", "--upgrade", "other")


def test_a_recipe_that_changed_is_followed_by_lock_and_refused_by_fetch(place: Place) -> None:
    place.well("lock", str(place.recipe), "--models-only")
    place.edit("revision: main", "revision: main\n    exclude: [LICENSE]")
    told = place.refused(3, "fetch", str(place.recipe))
    assert "exclude" in told and f"bundler lock {place.recipe}" in told
    changes = place.well("lock", str(place.recipe), "--models-only")["changes"]
    assert any("LICENSE" in line for line in changes)
    place.well("fetch", str(place.recipe))


# -- fetch


def test_fetch_brings_what_is_locked_once(place: Place) -> None:
    report = place.well("fetch", str(place.recipe))
    files = {file["path"]: file for file in report["models"][0]["files"]}
    for path, file in files.items():
        assert Path(file["place"]).read_bytes() == (place.root / "repo" / path).read_bytes()
    assert all(file["sha256"] for file in place.lock["models"][0]["files"])
    place.hub.forget_requests()
    assert place.well("fetch", str(place.recipe)) == report
    assert place.hub.requests() == []


def test_locked_needs_a_lock_that_has_everything(place: Place) -> None:
    assert "there is no lock" in place.refused(3, "fetch", str(place.recipe), "--locked")
    place.well("fetch", str(place.recipe))
    assert "busybox-test:1 is not in recipe.lock" in place.refused(3, "fetch", str(place.recipe), "--locked")


def test_a_dry_run_says_what_it_takes_and_leaves_no_trace(place: Place) -> None:
    plan = place.well("fetch", str(place.recipe), "--dry-run")
    size = sum(file["size"] for file in plan["models"][0]["files"])
    assert plan["needed_size"] == plan["models"][0]["missing_size"] == size
    assert plan["models"][0]["sources"] == [place.hub.endpoint]
    assert not (place.recipe / "recipe.lock").exists()
    assert not place.cache.exists()
    assert place.hub.requests("/lfs/") == []
    place.well("fetch", str(place.recipe))
    assert place.well("fetch", str(place.recipe), "--dry-run")["needed_size"] == 0
    text = place.run("build", str(place.recipe), "--dry-run").stdout
    assert "0 B of" in text and place.hub.endpoint in text


def test_a_file_that_changed_in_the_cache_is_fetched_again(place: Place) -> None:
    report = place.well("fetch", str(place.recipe))
    file = next(file for file in report["models"][0]["files"] if file["path"] == "model.safetensors")
    damaged, good = Path(file["place"]), Path(file["place"]).read_bytes()
    damaged.chmod(0o644)
    damaged.write_bytes(b"x" + good[1:])
    place.hub.forget_requests()
    place.well("fetch", str(place.recipe))
    assert damaged.read_bytes() == good
    assert {seen.path.rpartition("/")[2] for seen in place.hub.requests("/resolve/")} == {"model.safetensors"}


def test_a_directory_that_was_brought_serves_without_a_network(place: Place) -> None:
    place.well("lock", str(place.recipe), "--models-only")
    brought = shutil.copytree(place.root / "repo", place.root / "medium" / "tiny")
    place.hub.forget_requests()
    done = place.run("fetch", str(place.recipe), "--from", str(brought.parent))
    assert done.returncode == 0, done.stderr
    assert str(brought.parent) in done.stderr and "(copy)" in done.stderr
    assert place.hub.requests() == []


def test_a_recipe_names_alternatives_and_the_output_says_which_one_served(place: Place) -> None:
    place.edit("revision: main", "sources: [ { endpoint: 'http://127.0.0.1:9' }, hub ]\n    revision: main")
    done = place.run("fetch", str(place.recipe), "--retry-delay", "1ms")
    assert done.returncode == 0, done.stderr
    assert f"from {place.hub.endpoint}" in done.stderr


def test_a_licence_with_conditions_wants_a_word_once(place: Place) -> None:
    repo = write_model(place.root / "nc", seed=3)
    (repo / "README.md").write_text("---\nlicense: cc-by-nc-4.0\n---\n")
    place.hub.push(REPO, repo)
    told = place.refused(10, "lock", str(place.recipe), "--models-only")
    assert "cc-by-nc-4.0" in told and "--accept-licence cc-by-nc-4.0" in told
    assert not (place.recipe / "recipe.lock").exists()
    place.well("lock", str(place.recipe), "--models-only", "--accept-licence", "cc-by-nc-4.0")
    assert place.lock["models"][0]["license"]["accepted"] == "command line"
    place.well("fetch", str(place.recipe))


def test_a_shell_without_weights_is_refused_before_a_byte_of_it_comes(place: Place) -> None:
    place.edit("revision: main", "revision: main\n    include: ['*.json', '*.md']")
    told = place.refused(4, "fetch", str(place.recipe))
    assert "shell" in told and "no-weights" in told
    assert place.hub.requests("/lfs/") == []


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--limit-rate", "fast"], "not a size"),
        (["--deadline", "soon"], "not a length of time"),
        (["--stall", "0KB/s"], "not a size"),
        (["--endpoint", "https://me:secret@mirror.example"], "password"),
        (["--endpoint-token", "https://mirror.example"], "--endpoint-token"),
        (["--downloader", "carrier-pigeon"], "carrier-pigeon"),
    ],
)
def test_options_that_say_nothing_are_refused_and_no_secret_is_repeated(
    place: Place, options: list[str], sentence: str
) -> None:
    told = place.refused(2, "fetch", str(place.recipe), *options)
    assert sentence in told
    assert "secret" not in told


# -- cache


def test_the_cache_is_listed_verified_repaired_and_pruned(place: Place) -> None:
    assert place.well("cache", "list")["models"] == []
    report = place.well("fetch", str(place.recipe))
    (model,) = place.well("cache", "list")["models"]
    assert (model["name"], model["here"]) == ("tiny", model["size"])
    assert model["recipe"] == str(place.recipe)
    assert place.well("cache", "verify") == {"damaged": []}

    file = next(file for file in report["models"][0]["files"] if file["path"] == "model.safetensors")
    damaged, good = Path(file["place"]), Path(file["place"]).read_bytes()
    damaged.chmod(0o644)
    damaged.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    told = place.refused(9, "cache", "verify")
    assert str(damaged) in told and "bundler cache repair" in told
    assert place.well("cache", "repair")["removed"] == [str(damaged)]
    assert damaged.read_bytes() == good
    assert place.well("cache", "verify") == {"damaged": []}
    assert place.well("cache", "repair") == {"removed": [], "fetched": []}

    assert place.well("cache", "prune")["removed"] == []
    assert place.well("cache", "prune", "--all", "--dry-run")["size"] > 0
    assert damaged.exists()
    place.well("cache", "prune", "--all")
    assert not damaged.exists()
    assert place.well("cache", "list")["models"] == []
