"""Downloads that fail, files that change, places that cannot be written: what ``bundler build`` says and does then."""

from __future__ import annotations

import hashlib
import json
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bundler.core.kit import TrustPolicy
from bundler.core.progress import SilentProgress
from bundler.core.verify import verify_kit
from testbed.engines import RunningEngine
from testbed.hub_faults import Fault, Kind
from testbed.hub_repo import HubRepo
from tests.support.build_site import RECIPE, REPO, BuildSite, build_site, write_model, write_recipe
from tests.support.disks import disk
from tests.support.safetensors_files import safetensors_file
from tests.support.waiting import PATIENCE_S, wait_until
from tests.support.watched_build import in_step, noted, watched

WEIGHTS = "/lfs/*model.safetensors"
FILES = {"config.json", "LICENSE", "README.md", "model.safetensors"}
NOWHERE = "http://127.0.0.1:9"  # the discard port: nobody listens
#: Not to wait long between two attempts.
IMPATIENT = ("--retry-delay", "1ms")


@pytest.fixture(scope="module")
def shared(docker20: RunningEngine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BuildSite]:
    with build_site(tmp_path_factory.mktemp("downloads"), docker20) as site:
        yield site


@pytest.fixture
def site(shared: BuildSite) -> Iterator[BuildSite]:
    """Nothing fetched, nothing locked, a Hub that is well; packed layers of the engine are kept."""
    forget_models(shared)
    shutil.rmtree(shared.output, ignore_errors=True)
    shutil.rmtree(shared.recipe)
    write_recipe(shared.recipe)
    shared.hub.add(HubRepo(REPO, shared.root / "repo"))
    shared.hub.faults.clear()
    shared.hub.forget_requests()
    yield shared
    shared.hub.faults.clear()


def cache(site: BuildSite) -> Path:
    return site.root / "cache" / "bundler"


def forget_models(site: BuildSite) -> None:
    """As if nothing had been downloaded; what was packed of the engine's layers stays."""
    for name in ("objects", "git", "models", "partial"):
        shutil.rmtree(cache(site) / name, ignore_errors=True)


def stored(site: BuildSite, name: str) -> Path:
    """Where a file of the model lies in the cache."""
    content = (site.root / "repo" / name).read_bytes()
    sha256 = hashlib.sha256(content).hexdigest()
    return cache(site) / "objects" / sha256[:2] / sha256


def altered(path: Path) -> None:
    """One byte is another, the size and the mode are what they were."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(content)
    path.chmod(0o444)


def build(
    site: BuildSite, *options: str, env: dict[str, str] | None = None, hub: bool = True
) -> subprocess.CompletedProcess[str]:
    """A build without a rehearsal and without waiting."""
    command = site.command("--rehearse", "off", *IMPATIENT, *options)
    if not hub:
        at = command.index("--endpoint")
        del command[at : at + 2]
    return subprocess.run(
        command,
        env={**site.environment(), **(env or {})},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


def built(site: BuildSite, *options: str) -> None:
    done = build(site, *options)
    assert done.returncode == 0, done.stderr
    assert verify_kit(site.kit, TrustPolicy(), SilentProgress()).problems == ()


def refused(done: subprocess.CompletedProcess[str], code: int, *sentences: str) -> None:
    """The documented code, three lines and no traceback."""
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    for expected in ("where: ", "do: ", *sentences):
        assert expected in done.stderr, done.stderr
    assert done.stdout == ""


def fetched(site: BuildSite) -> list[str]:
    """Names of the files that were asked for."""
    names = {seen.path.rpartition("/")[2] for seen in site.hub.requests("/resolve/")}
    return sorted(names)


def require_no_kit(site: BuildSite) -> None:
    assert not site.output.exists() or not any(site.output.iterdir())


# -- the Hub


@pytest.mark.parametrize("path", [WEIGHTS, "*/resolve/*/config.json", "/api/models/*"])
def test_what_fails_twice_is_tried_a_third_time(site: BuildSite, path: str) -> None:
    site.hub.faults.add(Fault(path, Kind.STATUS, times=2))
    built(site)
    assert site.hub.faults.struck(site.hub.faults.faults[0]) == 2


def test_a_file_that_never_comes_names_model_file_and_tries_and_keeps_the_rest(site: BuildSite) -> None:
    site.hub.faults.add(Fault(WEIGHTS, Kind.STATUS, times=None))
    # Files come side by side, and the first that fails ends the others: it takes its time, in which they arrive.
    done = build(site, "--attempts", "3", "--retry-delay", "1s")
    refused(
        done, 4, "model tiny: model.safetensors did not arrive in 3 attempts", "HTTP 503", "goes on from what is here"
    )
    require_no_kit(site)
    kept = {name for name in FILES if stored(site, name).exists()}
    assert kept
    site.hub.faults.clear()
    site.hub.forget_requests()
    built(site)
    assert set(fetched(site)) == FILES - kept >= {"model.safetensors"}


def test_no_answer_about_a_model(site: BuildSite) -> None:
    site.hub.faults.add(Fault("/api/models/*", Kind.STATUS, times=None))
    refused(build(site), 4, "model tiny: no answer about its files in 10 attempts", "HTTP 503", f"{REPO}@main")
    assert not (site.recipe / "recipe.lock").exists()


def test_nobody_answers_at_the_endpoint(site: BuildSite) -> None:
    done = build(site, "--endpoint", NOWHERE, hub=False)
    refused(done, 4, "no answer about its files in 10 attempts", NOWHERE, "--endpoint")


def test_several_endpoints_are_asked_in_turn(site: BuildSite) -> None:
    done = build(site, "--endpoint", NOWHERE, "--endpoint", site.hub.endpoint, hub=False)
    assert done.returncode == 0, done.stderr
    assert f"resolved at {site.hub.endpoint}" in done.stderr


def test_an_endpoint_that_is_no_hub(site: BuildSite) -> None:
    site.hub.faults.add(Fault("/api/models/*", Kind.HTML, times=None))
    refused(build(site), 4, "a web page came instead of an answer")


def test_wrong_bytes_never_get_into_a_kit(site: BuildSite) -> None:
    site.hub.faults.add(Fault(WEIGHTS, Kind.WRONG_BYTES, times=None, after=1000))
    refused(build(site), 4, "model.safetensors came twice with another digest or size")
    require_no_kit(site)
    assert not stored(site, "model.safetensors").exists()


def test_everything_here_and_locked_needs_no_hub(site: BuildSite) -> None:
    built(site)
    built(site, "--endpoint", NOWHERE)


def test_a_branch_that_moves_does_not_move_a_lock(site: BuildSite) -> None:
    built(site)
    before = site.hub.commit(REPO)
    try:
        site.hub.push(REPO, write_model(site.root / f"moved-{time.time_ns()}", seed=2))
        forget_models(site)
        built(site)
        assert json.loads((site.kit / "head" / "bundle.json").read_bytes())["models"][0]["commit"] == before
    finally:
        site.hub.push(REPO, site.root / "repo")


def test_a_killed_download_by_hf_transfer_leaves_no_process(
    docker20: RunningEngine, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with build_site(tmp_path, docker20) as site:
        weights = site.root / "repo" / "model.safetensors"
        safetensors_file(weights, 65 << 20, sparse=True)  # more than one connection is worth while
        site.hub.push(REPO, site.root / "repo")
        site.hub.faults.add(Fault(WEIGHTS, Kind.STALL, times=None, after=1000))
        with watched(site, "--downloader", "hf_transfer") as running:
            running.wait_for(in_step("download"))
            wait_until(lambda: _processes_about(tmp_path, "hf_transfer.download("), lambda: running.complaint)
            running.strike(signal.SIGKILL)
            running.end()
        wait_until(lambda: not _processes_about(tmp_path, "hf_transfer"), lambda: _processes_about(tmp_path, ""))


def _processes_about(root: Path, word: str) -> list[str]:
    """Processes that name ``word`` and have the cache below ``root``."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            argv = (folder / "cmdline").read_bytes().decode(errors="replace")
            environment = (folder / "environ").read_bytes().decode(errors="replace")
        except OSError:
            continue
        if word in argv and f"XDG_CACHE_HOME={root}" in environment:
            found.append(argv)
    return found


# -- what lies here


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_a_file_that_changed_after_its_download_is_refused_and_fetched_again(site: BuildSite, name: str) -> None:
    built(site)
    shutil.rmtree(site.output)
    altered(stored(site, name))
    refused(build(site), 5, f"{name} has another digest", "run the same command again")
    require_no_kit(site)
    site.hub.forget_requests()
    built(site)
    assert fetched(site) == [name]


def test_what_was_prepared_from_a_damaged_file_is_not_kept(site: BuildSite) -> None:
    """A command over damaged weights gives damaged outputs, which the weights' digests would hand on."""
    (site.recipe / "recipe.yaml").write_text(
        RECIPE + "prepare:\n  - { name: sum, run: [sh, -c, 'mkdir /srv/out && "
        "sha256sum < /app/models/tiny/model.safetensors > /srv/out/sum'], outputs: [/srv/out] }\n"
    )
    shutil.rmtree(cache(site) / "prepared", ignore_errors=True)
    built(site)
    good = prepared(site)
    shutil.rmtree(cache(site) / "prepared")
    altered(stored(site, "model.safetensors"))
    refused(build(site), 5, "has another digest")
    built(site)
    assert prepared(site) == good


def prepared(site: BuildSite) -> set[str]:
    """Digests of the outputs that the last bundle carries, by its derived layer."""
    images = json.loads((site.kit / "head" / "bundle.json").read_bytes())["images"]
    return {layer["diff_id"] for image in images for layer in image["layers"] if layer["kind"] == "derived"}


def test_a_lock_with_another_digest_is_believed_and_nothing_else_gets_in(site: BuildSite) -> None:
    built(site)
    shutil.rmtree(site.output)
    lock = site.recipe / "recipe.lock"
    document = json.loads(lock.read_bytes())
    digest = next(file["sha256"] for file in document["models"][0]["files"] if file["path"] == "model.safetensors")
    lock.write_text(lock.read_text().replace(digest, "0" * 64))
    refused(build(site), 4, "model.safetensors came twice with another digest or size")
    require_no_kit(site)
    lock.unlink()
    built(site)


def test_a_recipe_that_disagrees_with_its_lock(site: BuildSite) -> None:
    built(site)
    recipe = site.recipe / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace("revision: main", "revision: v2"))
    refused(build(site), 3, "revision v2", "recipe.lock", "bundler lock")


def test_a_lock_that_is_no_lock(site: BuildSite) -> None:
    (site.recipe / "recipe.lock").write_text("{")
    refused(build(site), 3, "recipe.lock:1")


def test_a_recipe_with_ten_faults_names_all_of_them(site: BuildSite) -> None:
    (site.recipe / "recipe.yaml").write_text(
        "format: 1\n"
        "name: Not A Name\n"
        "version: 1.0.0\n"
        "platfrom: linux/amd64\n"
        "models:\n"
        "  - { name: one, repo: acme/tiny, revision: main, path: models/one }\n"
        "  - { name: two, repo: acme/tiny, revision: main, path: /app/models/two }\n"
        "  - { name: three, repo: acme/tiny, revision: main, path: /app/models/two/three }\n"
        "  - { name: two, repo: acme/tiny, revision: main, path: /app/models/four }\n"
        "  - { name: five, repo: a/b/c, revision: main, path: /app/models/five }\n"
        "  - { name: six, repo: acme/tiny, revision: main, path: /app/../six }\n"
        "base: { dockerfile: Dockerfile.none, tag: 'small:base' }\n"
        "apps: [ { dockerfile: Dockerfile, tag: small } ]\n"
        "files: [ missing.yaml ]\n"
        "checks:\n"
        "  - { name: answers, run: [true], within: fast, expect: '(' }\n"
    )
    done = build(site)
    refused(done, 3)
    for line in (2, 4, 6, 8, 9, 10, 11, 12, 13, 14, 16):
        assert f"recipe.yaml:{line}" in done.stderr, done.stderr
    assert site.hub.requests() == []


def test_no_recipe_there(site: BuildSite, tmp_path: Path) -> None:
    for target in (tmp_path / "nowhere", tmp_path):
        command = [*site.command()[:4], str(target)]
        done = subprocess.run(
            command, env=site.environment(), capture_output=True, text=True, timeout=PATIENCE_S, check=False
        )
        refused(done, 3, str(target))


def test_errors_as_an_object(site: BuildSite) -> None:
    site.hub.faults.add(Fault(WEIGHTS, Kind.STATUS, times=None))
    done = build(site, "--json", "--progress", "none")
    assert done.returncode == 4
    error: dict[str, Any] = json.loads(done.stderr)["error"]
    assert (error["exit_code"], error["kind"]) == (4, "DownloadError")
    assert "10 attempts" in error["what"]
    assert error["where"].startswith(REPO)
    assert error["do"]
    assert done.stdout == ""


# -- places


def test_an_output_that_cannot_be_written(site: BuildSite, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    refused(build(site, "--output", str(tmp_path / "file")), 10, str(tmp_path / "file"))
    with disk(tmp_path / "ro", 1 << 20, "ro") as place:
        refused(build(site, "--output", str(place / "kits")), 10, str(place))


def test_a_cache_that_cannot_be_written(site: BuildSite, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        refused(build(site, env={"XDG_CACHE_HOME": str(place)}), 10, str(tmp_path / "file"))
    with disk(tmp_path / "ro", 1 << 20, "ro") as place:
        refused(build(site, env={"XDG_CACHE_HOME": str(place)}), 10, str(place))


def test_an_engine_that_is_not_there(site: BuildSite, tmp_path: Path) -> None:
    refused(build(site, "--host", f"unix://{tmp_path}/no.sock"), 8, f"{tmp_path}/no.sock", "start Docker")
    require_no_kit(site)


# -- two at once


def test_two_builds_of_one_name_say_so_and_of_one_model_wait(site: BuildSite, tmp_path: Path) -> None:
    other = write_recipe(tmp_path / "other")
    (other / "recipe.yaml").write_text(RECIPE.replace("name: small", "name: other", 1))
    stall = Fault(WEIGHTS, Kind.STALL, times=1, after=1000, stall_s=PATIENCE_S)
    site.hub.faults.add(stall)
    beside = BuildSite(tmp_path, site.engine, site.hub)
    shutil.move(str(other), str(beside.recipe))
    environment = {"XDG_CACHE_HOME": str(site.root / "cache")}
    with watched(site, "--rehearse", "off", "--timeout", "1h", "--stall", "1B/s") as first:
        first.wait_for(lambda event: event["event"] == "task" and event["label"] == "tiny")
        wait_until(lambda: site.hub.faults.struck(stall) == 1)
        refused(build(site), 10, f"another run (process {first.process.pid})", "--lock-timeout")
        with watched(beside, "--rehearse", "off", env=environment) as second:
            second.wait_for(noted(f"waiting, since another run (process {first.process.pid})"))
            site.hub.faults.end()
            assert (first.end(), second.end()) == (0, 0), first.complaint + second.complaint
    assert len(site.hub.requests("/lfs/", method="GET")) == 1
