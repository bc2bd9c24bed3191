"""The same recipe gives the same bytes, whoever builds it where: model layers always, all of it over equal engine images."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from testbed.engines import RunningEngine
from testbed.hub import Hub
from testbed.hub_repo import HubRepo
from tests.support.build_site import REPO, BuildSite, build_site, fetched_files, write_model
from tests.support.kit_reading import layers_of, members_of, open_whole

pytestmark = pytest.mark.engine
EPOCH = {"SOURCE_DATE_EPOCH": "1700000000"}
#: Another user, as far as files are concerned, who may still read this checkout and speak to the engine.
AS_NOBODY = (
    "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
    "--inh-caps=+dac_override,+dac_read_search", "--ambient-caps=+dac_override,+dac_read_search",
)  # fmt: skip


def bundle_json(kit: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((kit / "head" / "bundle.json").read_text())
    return document


def model_layers(kit: Path) -> list[dict[str, Any]]:
    layers = [layer for image in bundle_json(kit)["images"] for layer in image["layers"]]
    return [layer for layer in layers if layer["kind"] == "model"]


def run(site: BuildSite, prefix: Sequence[str], umask: int, env: dict[str, str], *options: str) -> Path:
    """Build by hand: another user and another umask cannot be had from within this process."""
    done = subprocess.run(
        [*prefix, *site.command("--rehearse", "off", *options)],
        env={**site.environment(), **env},
        umask=umask,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return site.kit


def fill_repo(directory: Path) -> None:
    """Names whose order depends on the locale, nested folders, an empty file, an executable one."""
    for name in ("B.json", "a.json", "ä.json", "Z/one.txt", "z/two.txt", "z/A/three.txt", "-x.txt", "_y.txt"):
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (directory / "empty.txt").write_text("")
    (directory / "run.sh").write_text("#!/bin/sh\n")
    (directory / "run.sh").chmod(0o755)


def shuffled_copy(source: Path, target: Path, owner: int) -> None:
    """The same files, made in another order, with other times, modes and owners."""
    files = [path for path in source.rglob("*") if path.is_file()]
    random.Random(7).shuffle(files)
    for number, path in enumerate(files):
        copy = target / path.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
        copy.chmod(0o400 if number % 2 else 0o777)
        os.utime(copy, (number * 1000, number * 1000))
    for path in [target, *target.rglob("*")]:
        os.chown(path, owner, owner)


def add_models(site: BuildSite) -> None:
    """The same repo once more as a Hub cache with an owner, and something computed from both."""
    recipe = site.recipe / "recipe.yaml"
    more = "  - { name: cached, repo: acme/tiny, path: /srv/hub, layout: hub-cache, owner: { uid: 10001, gid: 9 } }\n"
    prepared = (
        "prepare:\n  - name: listed\n"
        "    run: mkdir -p /opt/out && (cd /app/models/tiny && ls -R) > /opt/out/list && ln -s list /opt/out/link\n"
        "    outputs: [ /opt/out ]\n"
    )
    text = recipe.read_text().replace("base: {", f"{more}base: {{", 1).replace("files:", f"{prepared}files:", 1)
    recipe.write_text(text)


def test_model_layers_are_equal_on_two_machines(
    docker20: RunningEngine, docker28_containerd: RunningEngine, tmp_path: Path
) -> None:
    """Another engine without a cache, user, umask, locale, zone, number of cores; other times and order on disk."""
    fill_repo(write_model(tmp_path / "repo"))
    with (
        tempfile.TemporaryDirectory() as elsewhere,  # pytest's own folders are closed to others
        build_site(tmp_path / "1", docker20) as one,
        build_site(Path(elsewhere) / "2", docker28_containerd) as two,
        Hub([HubRepo(REPO, tmp_path / "repo")]) as hub,
    ):
        first, second = BuildSite(one.root, one.engine, hub), BuildSite(two.root, two.engine, hub)
        for site in (first, second):
            add_models(site)
        kit = run(first, (), 0o022, {"LC_ALL": "C.UTF-8", "TZ": "UTC"})
        for name in ("objects", "git"):
            shuffled_copy(first.root / "cache/bundler" / name, second.root / "cache/bundler" / name, 65534)
        hub.forget_requests()
        for path in [Path(elsewhere), second.root, *second.root.rglob("*")]:
            os.chown(path, 65534, 65534)
        surroundings = {"LC_ALL": "C", "TZ": "Asia/Kathmandu", "HOME": str(second.root), "PYTHONHASHSEED": "7"}
        other = run(second, ("taskset", "--cpu-list", "0", *AS_NOBODY), 0o077, surroundings)
        assert fetched_files(hub) == [], "the shuffled files were used"
        assert other.stat().st_uid == 65534

        assert len(model_layers(kit)) == 4, "two models in two images"
        assert model_layers(other) == model_layers(kit)
        assert bundle_json(other)["models"] == bundle_json(kit)["models"]
        assert bundle_json(kit)["tools"]["zstd"]
        bundle = open_whole(other)
        for layer in [layer for layer in layers_of(bundle).values() if layer.kind == "model"]:
            entries = members_of(bundle, layer)
            assert list(entries) == sorted(entries)
            assert {entry.mtime for entry in entries.values()} == {0}
            assert {(entry.isdir(), entry.mode) for entry in entries.values()} == {(True, 0o755), (False, 0o644)}
            owners = {(entry.uid, entry.gid) for entry in entries.values() if entry.isreg()}
            assert owners == {(0, 0) if layer.model == "tiny" else (10001, 9)}
            assert not any(entry.uname or entry.gname for entry in entries.values())


@pytest.mark.parametrize(("fixture", "builder"), [("docker20", "classic"), ("docker28_containerd", "buildx")])
def test_a_wiped_cache_changes_nothing_over_the_same_engine_images(
    request: pytest.FixtureRequest, fixture: str, builder: str, tmp_path: Path
) -> None:
    """The engine's cache gives the same images; all else is fetched, computed and packed again, to the same sums."""
    engine: RunningEngine = request.getfixturevalue(fixture)
    with build_site(tmp_path, engine) as site:
        add_models(site)
        with (site.recipe / "Dockerfile").open("a") as app:
            app.write("COPY . /all\n")
        sums = []
        for umask in (0o022, 0o077):
            kit = run(site, (), umask, EPOCH, "--builder", builder)
            sums.append((kit / "SHA256SUMS").read_text())
            shutil.rmtree(site.root / "cache")
            shutil.rmtree(kit)
        assert sums[0] == sums[1]
        assert "small-1.0.0-linux-amd64.tar" in sums[0]
