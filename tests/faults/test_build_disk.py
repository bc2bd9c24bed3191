"""Disks that are too small, or fill up while a build runs: said with numbers before, and cleaned up after."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bundler.builder.hub.part import Part
from testbed.engines import DOCKER_20, DOCKER_26_CONTAINERD, EngineKind, RunningEngine
from testbed.hub_faults import Fault, Kind
from tests.stalling_proxy import stalling_proxy
from tests.support.build_site import BuildSite, build_site, fetched_files, images_in
from tests.support.disks import disk
from tests.support.waiting import PATIENCE_S
from tests.support.watched_build import Place, in_step, watched

MODEL_SIZE = 16 << 20
MIB = 1 << 20


@pytest.fixture(scope="module")
def site(docker20: RunningEngine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BuildSite]:
    with build_site(tmp_path_factory.mktemp("disk"), docker20, MODEL_SIZE) as site:
        yield site
        site.hub.faults.clear()


def fill(place: Path, leave_size: int) -> Path:
    """Someone else's file, which leaves that much room."""
    state = os.statvfs(place)
    filler = place / "filler"
    with filler.open("wb") as stream:
        os.posix_fallocate(stream.fileno(), 0, state.f_bavail * state.f_frsize - leave_size)
    return filler


def require_refused(code: int, complaint: str, *sentences: str) -> None:
    assert code == 10, complaint
    assert "Traceback" not in complaint
    for sentence in ("where: ", "do: ", *sentences):
        assert sentence in complaint, complaint


def standing(engine: RunningEngine) -> list[str]:
    containers = engine.docker("ps", "--all", "--quiet").split()
    return [*(line for line in images_in(engine) if "bundler.invalid/cache" not in line), *containers]


# -- asked before anything is fetched


def test_an_output_that_is_too_small(site: BuildSite, tmp_path: Path) -> None:
    with disk(tmp_path / "disk", 12 * MIB) as place:
        site.hub.forget_requests()
        cache = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
        done = site.run("--rehearse", "off", "--output", str(place / "kits"), env=cache)
        require_refused(done.returncode, done.stderr, "there is not enough disk space", "12 MiB are free", "the kit")
        needed = re.search(r"(\d+) MiB are needed", done.stderr)
        assert needed and int(needed[1]) > 16
        assert fetched_files(site.hub) == []
        assert not (place / "kits").exists()


def test_room_for_the_model_and_none_for_the_loader(site: BuildSite, tmp_path: Path) -> None:
    """A kit is more than its bundle."""
    with disk(tmp_path / "disk", MODEL_SIZE + 6 * MIB) as place:
        done = site.run("--rehearse", "off", "--output", str(place))
        require_refused(done.returncode, done.stderr, "there is not enough disk space", "22 MiB are free")
        assert not any(place.iterdir())


def test_a_cache_that_is_too_small(site: BuildSite, tmp_path: Path) -> None:
    with disk(tmp_path / "disk", 8 * MIB) as place:
        site.hub.forget_requests()
        done = site.run("--rehearse", "off", env={"XDG_CACHE_HOME": str(place)})
        require_refused(done.returncode, done.stderr, "8 MiB are free: models to be fetched (16 MiB)", "XDG_CACHE_HOME")
        assert fetched_files(site.hub) == []


def test_needs_on_one_disk_are_summed(site: BuildSite, tmp_path: Path) -> None:
    """Room for the download or for the kit, and not for both."""
    with disk(tmp_path / "disk", 56 * MIB) as place:
        cache = {"XDG_CACHE_HOME": str(place / "cache")}
        done = site.run("--rehearse", "off", "--output", str(place / "kits"), env=cache)
        require_refused(done.returncode, done.stderr, "models to be fetched (16 MiB), ")


def test_an_engine_without_room_for_the_rehearsal(start_engine: Callable[..., RunningEngine], tmp_path: Path) -> None:
    engine = start_engine(DOCKER_20, size_bytes=40 * MIB)
    with build_site(tmp_path, engine, 32 * MIB) as site:
        before = standing(engine)
        done = site.run()
        require_refused(done.returncode, done.stderr, "the rehearsal in the engine", str(engine.data_root))
        assert fetched_files(site.hub) == []
        assert standing(engine) == before
        assert not site.output.exists()


# -- full in the middle, although there was room


@pytest.mark.parametrize(
    ("step", "leave_size"),
    [("write the bundle", 4 * MIB), ("read the bundle back", 4 * MIB)],
    ids=["while the tar is written", "while the rest is written"],
)
def test_the_output_fills_up(site: BuildSite, tmp_path: Path, step: str, leave_size: int) -> None:
    with disk(tmp_path / "disk", 64 * MIB) as place:
        output = place / "kits"
        options = ("--rehearse", "off", "--output", str(output))
        with watched(site, *options, stands_at=Place(step)) as build:
            build.wait_standing()
            filler = fill(place, leave_size)
            build.strike(signal.SIGCONT)
            require_refused(build.end(), build.complaint, "No space left on device", str(output))
        assert not any(output.iterdir())
        filler.unlink()
        done = site.run(*options)
        assert done.returncode == 0, done.stderr


def test_the_cache_fills_up(site: BuildSite, tmp_path: Path) -> None:
    with disk(tmp_path / "disk", 64 * MIB) as place:
        site.hub.faults.clear()
        site.hub.faults.add(Fault("/lfs/*", Kind.SLOW, times=None, bytes_per_s=MIB // 4))
        cache = {"XDG_CACHE_HOME": str(place / "cache")}
        with watched(site, "--rehearse", "off", env=cache) as build:
            build.wait_for(
                lambda event: event["event"] == "task" and event["label"] == "tiny" and event["done"] > 64 << 10
            )
            filler = fill(place, 2 * MIB)
            require_refused(build.end(), build.complaint, "a model cannot be kept: No space left", str(place))
        # Small files may have been met on their way too; of the weights more has come than these have in all.
        parts = [path for path in (place / "cache/bundler/partial").glob("sha256-*") if not path.suffix]
        assert max(Part(path).here() for path in parts) > 4 << 10, "what came is kept, journalled"
        filler.unlink()
        site.hub.faults.clear()
        site.hub.forget_requests()
        done = site.run("--rehearse", "off", env=cache)
        assert done.returncode == 0, done.stderr
        assert "model.safetensors" in fetched_files(site.hub)
        assert sum(seen.sent for seen in site.hub.requests("/lfs/", method="GET")) < MODEL_SIZE
        assert not list((place / "cache/bundler/partial").iterdir())


def test_the_engine_fills_up_while_images_are_built(start_engine: Callable[..., RunningEngine], tmp_path: Path) -> None:
    engine = start_engine(DOCKER_20, size_bytes=192 * MIB)
    with build_site(tmp_path, engine, MODEL_SIZE) as site:
        dockerfile = site.recipe / "Dockerfile"
        dockerfile.write_text(dockerfile.read_text().replace("USER", "RUN seq 900000 > /srv/numbers\nUSER"))
        before = standing(engine)
        with watched(site, stands_at=Place("build images")) as build:
            build.wait_standing()
            filler = fill(engine.data_root, 3 * MIB)
            build.strike(signal.SIGCONT)
            code = build.end()
        # A step of a Dockerfile that finds no room has failed like any other: only its program knows why.
        assert code == 5, build.complaint
        assert "RUN seq" in build.complaint
        assert "Traceback" not in build.complaint
        require_undone_and_possible(site, before, filler)


@pytest.mark.parametrize("kind", [DOCKER_20, DOCKER_26_CONTAINERD], ids=lambda kind: kind.name)
def test_the_engine_fills_up_in_the_middle_of_a_layer(
    start_engine: Callable[..., RunningEngine], tmp_path: Path, kind: EngineKind
) -> None:
    """There was room when it was asked for; then half of the model is sent, and somebody else takes the rest."""
    engine = start_engine(kind, size_bytes=192 * MIB)
    with (
        build_site(tmp_path, engine, MODEL_SIZE) as site,
        stalling_proxy(tmp_path, engine.socket, MODEL_SIZE // 2, resume=True) as proxy,
    ):
        before = standing(engine)
        with watched(site, "--host", proxy.url) as build:
            assert proxy.stalled.wait(PATIENCE_S), build.complaint
            build.wait_for(in_step("rehearse: load images"))
            filler = fill(engine.data_root, 1 * MIB)
            proxy.released.set()
            require_refused(build.end(), build.complaint, "no space left on device")
        require_undone_and_possible(site, before, filler)


def require_undone_and_possible(site: BuildSite, before: list[str], filler: Path) -> None:
    assert not site.output.exists() or not any(site.output.iterdir())
    filler.unlink()
    assert standing(site.engine) == before
    done = site.run()
    assert done.returncode == 0, done.stderr
    assert standing(site.engine) == before
