"""Whatever way a model came, the bundle is the same: layers byte for byte, and the lock that they came from."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import snapshot_download

from testbed.debian import install_host_packages
from testbed.engines import RunningEngine
from testbed.olah import Olah
from tests.support.build_site import REPO, BuildSite, build_site
from tests.support.model_repo import git

NOWHERE = "http://127.0.0.1:9"
SIZE = 9 << 20
Way = Callable[[BuildSite, Path], tuple[list[str], str]]


@pytest.fixture(scope="module")
def site(docker20: RunningEngine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BuildSite]:
    with build_site(tmp_path_factory.mktemp("routes"), docker20, SIZE) as site:
        yield site


@pytest.fixture(scope="module")
def direct(site: BuildSite) -> dict[str, Any]:
    """What the bundle says of the model that came from the Hub."""
    site.build("--rehearse", "off")
    return told(site)


def told(site: BuildSite) -> dict[str, Any]:
    document = json.loads((site.kit / "head" / "bundle.json").read_bytes())
    layers = [layer for image in document["images"] for layer in image["layers"] if layer["kind"] == "model"]
    return {"layers": layers, "models": document["models"]}


def by_git(site: BuildSite, _: Path) -> tuple[list[str], str]:
    return [], f"{{ git: {site.hub.endpoint}/git/{REPO}.git }}"


def by_clone(site: BuildSite, work: Path) -> tuple[list[str], str]:
    install_host_packages(("git", "git-lfs"))
    home = {"HOME": str(work)}
    git("lfs", "install", **home)
    git("clone", f"{site.hub.endpoint}/git/{REPO}.git", work / "clone", **home)
    return ["--from", str(work / "clone")], "hub"


def by_cache(site: BuildSite, work: Path) -> tuple[list[str], str]:
    snapshot_download(REPO, endpoint=site.hub.endpoint, cache_dir=work / "hub", token=False)
    return ["--from", str(work / "hub")], "hub"


@pytest.mark.parametrize("way", [by_git, by_clone, by_cache])
def test_the_model_layers_are_those_of_the_direct_way(
    site: BuildSite, direct: dict[str, Any], tmp_path: Path, way: Way
) -> None:
    options, source = way(site, tmp_path)
    rebuilt(site, tmp_path, source, "--endpoint", NOWHERE, *options, "--retry-delay", "1ms")
    assert told(site) == direct


def test_so_are_those_that_came_by_a_mirror(site: BuildSite, direct: dict[str, Any], tmp_path: Path) -> None:
    with Olah(site.hub, tmp_path / "olah") as mirror:
        rebuilt(site, tmp_path, "hub", "--endpoint", mirror.endpoint)
    assert told(site) == direct


def rebuilt(site: BuildSite, work: Path, source: str, *options: str) -> None:
    """A build with a cache of its own that has no lock: it resolves and fetches by the given way alone."""
    recipe = site.recipe / "recipe.yaml"
    before = recipe.read_text()
    (site.recipe / "recipe.lock").unlink(missing_ok=True)
    shutil.rmtree(site.output, ignore_errors=True)
    recipe.write_text(before.replace("revision: main", f"revision: main\n    sources: [ {source} ]"))
    command = site.command("--rehearse", "off", *options)
    at = command.index("--endpoint")
    del command[at : at + 2]
    try:
        environment = {**site.environment(), "XDG_CACHE_HOME": str(work / "cache")}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stderr
    finally:
        recipe.write_text(before)
