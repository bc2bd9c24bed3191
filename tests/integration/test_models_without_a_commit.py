"""Files of plain addresses have no commit: built, rehearsed and told all the same, by their digests."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from testbed.engines import RunningEngine
from tests.support.build_site import RECIPE, REPO, BuildSite, build_site

FILES = ("config.json", "model.safetensors")


def recipe_of(site: BuildSite) -> str:
    """The site's recipe with each file at an address of its own; the Hub's serve as such."""
    digests = {name: hashlib.sha256((site.root / "repo" / name).read_bytes()).hexdigest() for name in FILES}
    rows = "".join(
        f'          - {{ path: {name}, url: "{site.hub.endpoint}/{REPO}/resolve/main/{name}", sha256: "{digests[name]}" }}\n'
        for name in FILES
    )
    line = "    path: /app/models/tiny\n"
    assert line in RECIPE
    return RECIPE.replace(line, f"{line}    sources:\n      - urls:\n{rows}")


@pytest.fixture(scope="module")
def site(docker20: RunningEngine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BuildSite]:
    with build_site(tmp_path_factory.mktemp("addresses"), docker20) as site:
        (site.recipe / "recipe.yaml").write_text(recipe_of(site))
        done = build(site)
        assert done.returncode == 0, done.stderr
        yield site


def build(site: BuildSite) -> subprocess.CompletedProcess[str]:
    """With a rehearsal, which installs, proves and removes it; without a mirror, which would be asked first."""
    argv = [sys.executable, "-m", "bundler", "build", str(site.recipe), "--output", str(site.output)]
    return subprocess.run(argv, env=site.environment(), capture_output=True, text=True, timeout=300, check=False)


def inspect(site: BuildSite, *options: str) -> str:
    argv = [sys.executable, "-m", "bundler", "inspect", str(site.kit), *options]
    return subprocess.run(argv, capture_output=True, text=True, check=True, timeout=300).stdout


def bundle(kit: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((kit / "head" / "bundle.json").read_bytes())
    return document


def test_lock_and_bundle_have_null_in_its_place(site: BuildSite) -> None:
    (locked,) = json.loads((site.recipe / "recipe.lock").read_bytes())["models"]
    (model,) = bundle(site.kit)["models"]
    assert locked["commit"] is model["commit"] is None
    assert [file["path"] for file in model["files"]] == list(FILES)


def test_it_is_told_by_its_repo_alone(site: BuildSite) -> None:
    assert json.loads(inspect(site, "--json"))["models"][0]["commit"] is None
    row = next(line for line in inspect(site).splitlines() if line.startswith("tiny "))
    assert row.split()[1] == REPO
    assert f"\n  {REPO} at /app/models/tiny\n" in (site.kit / "README.txt").read_text()
    stated = (site.kit / "papers" / "licences" / "tiny" / "STATED.txt").read_text()
    assert "commit: none: known by the digests of its files\n" in stated
    assert "licence: none stated by the repo" in stated
    label = f'"tiny.model":"{REPO}"'
    tar = next(site.kit.glob("*.tar"))
    assert (
        subprocess.run(["grep", "--quiet", "--text", "--fixed-strings", label, str(tar)], check=False).returncode == 0
    )


def test_a_hub_cache_of_it_is_refused_with_its_line(site: BuildSite) -> None:
    text = recipe_of(site)
    try:
        (site.recipe / "recipe.yaml").write_text(
            text.replace("    sources:\n", "    layout: hub-cache\n    sources:\n")
        )
        done = build(site)
    finally:
        (site.recipe / "recipe.yaml").write_text(text)
    assert done.returncode == 3
    assert "recipe.yaml:10: a Hub cache is made for a commit" in done.stderr
