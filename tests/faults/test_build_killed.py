"""Builds that are killed in each step: nothing has the kit's name, and the next run goes on from what is there."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from bundler.builder.hub.journal import segment_size
from bundler.core.kit import TrustPolicy
from bundler.core.locking import exclusive_lock
from bundler.core.progress import SilentProgress
from bundler.core.verify import verify_kit
from testbed.engines import RunningEngine
from testbed.hub_faults import Fault, Kind
from testbed.hub_repo import git_id
from tests.stalling_proxy import stalling_proxy
from tests.support.build_site import DOCKERFILE, RECIPE, BuildSite, build_site, images_in
from tests.support.waiting import PATIENCE_S, wait_heard, wait_until
from tests.support.watched_build import STEPS, Place, WatchedBuild, in_step, noted, watched

MODEL_SIZE = 16 << 20
#: Of busybox's layer, which follows the model's, either store gets more than that.
OS_SIZE = 768 << 10
#: From this place of a rehearsal on, the model's layer stands in the engine.
LOADED = 0.96
#: What one connection asks for at once.
SEGMENT_SIZE = segment_size(MODEL_SIZE)
WEIGHTS = "/lfs/*model.safetensors"
SMALL_FILES = (".gitattributes", "config.json", "LICENSE", "README.md")
SOAK_SEED = 20_240_601
#: How long steps of an engine take that are to be met in their first second, by a busy host too; the next run waits
#: for their end, but not for that of the check.
SLOW_S = 10
SLOW_APP = DOCKERFILE.replace("USER", f"RUN sleep {SLOW_S} && cat /srv/app.txt > /srv/copy\nUSER")
PREPARE = f"""\
prepare:
  - name: index
    run: [sh, -c, "sleep {SLOW_S}; mkdir /srv/index; wc -c < /app/models/tiny/model.safetensors > /srv/index/size"]
    outputs: [/srv/index]
"""
SLOW_CHECK = re.sub(r"within: \w+", "within: 1h", RECIPE.replace("[cat, ", "[sh, -c, 'sleep 3600; cat $0', "))


@dataclass(frozen=True)
class Blow:
    """Where to strike: the step as its title begins, the place in it (0 to 1), and how."""

    step: str
    place: float
    number: int = signal.SIGKILL


@pytest.fixture(scope="module")
def small(docker20: RunningEngine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BuildSite]:
    """Built once, so that each test finds the model fetched and the layers packed."""
    with build_site(tmp_path_factory.mktemp("killed"), docker20, MODEL_SIZE) as site:
        site.build("--rehearse", "off")
        yield site


@pytest.fixture
def site(small: BuildSite) -> Iterator[BuildSite]:
    with as_it_was(small):
        yield small


@contextmanager
def as_it_was(site: BuildSite) -> Iterator[None]:
    """Nothing built stands there; at the end the recipe is the ordinary one, and the Hub well."""
    shutil.rmtree(site.output, ignore_errors=True)
    site.hub.forget_requests()
    try:
        yield
    finally:
        site.hub.faults.clear()
        (site.recipe / "recipe.yaml").write_text(RECIPE)
        (site.recipe / "Dockerfile").write_text(DOCKERFILE)
        (site.recipe / "app.txt").write_text("application\n")


# -- one way to be in the middle for each step


def in_resolve(site: BuildSite, blow: Blow) -> None:
    (site.recipe / "recipe.lock").unlink(missing_ok=True)
    site.hub.faults.add(Fault("/api/models/*", Kind.STALL, times=None))
    with watched(site) as build:
        build.wait_for(in_step(blow.step))
        wait_until(lambda: bool(site.hub.requests("/api/models/")))
        strike(build, blow)


def in_download(site: BuildSite, blow: Blow) -> None:
    """By what the server has sent: up to the place each connection is quick, and from there on it hardly moves."""
    for name in ("objects", "git", "models"):
        shutil.rmtree(site.root / "cache" / "bundler" / name, ignore_errors=True)
    quick = max(1, int(0.9 * blow.place * SEGMENT_SIZE))
    site.hub.faults.add(Fault(WEIGHTS, Kind.SLOW, times=None, after=quick, bytes_per_s=64 << 10))
    with watched(site) as build:
        build.wait_for(in_step(blow.step))
        wait_until(lambda: weights_sent(site) >= quick * MODEL_SIZE // SEGMENT_SIZE and small_files_are_whole(site))
        assert weights_sent(site) < MODEL_SIZE
        strike(build, blow)


def weights_sent(site: BuildSite) -> int:
    return sum(seen.sent for seen in site.hub.requests("/lfs/", method="GET"))


def small_files_are_whole(site: BuildSite) -> bool:
    """Files are fetched side by side: the weights may be well on their way before the first small one is whole.

    A file is kept, then found by its git id, and what was begun of it goes last.
    """
    cache = site.root / "cache" / "bundler"
    ids = [git_id("blob", (site.root / "repo" / name).read_bytes()) for name in SMALL_FILES]
    whole = all((cache / "git" / each[:2] / each).is_file() for each in ids)
    return whole and not list((cache / "partial").glob("git-*"))


def in_image_build(site: BuildSite, blow: Blow) -> None:
    (site.recipe / "Dockerfile").write_text(SLOW_APP)
    (site.recipe / "app.txt").write_text(f"never built before: {time.time_ns()}\n")
    with watched(site) as build:
        build.wait_for(noted("RUN sleep"))
        time.sleep(0.9 * blow.place)
        strike(build, blow)


def in_prepare(site: BuildSite, blow: Blow) -> None:
    (site.recipe / "recipe.yaml").write_text(RECIPE + PREPARE.replace("name: index", f"name: index{time.time_ns()}"))
    before = containers_in(site.engine)
    with watched(site) as build:
        build.wait_for(noted("prepare index"))
        wait_until(lambda: containers_in(site.engine) != before)
        time.sleep(0.9 * blow.place)
        strike(build, blow)


def in_passing(site: BuildSite, blow: Blow) -> None:
    """A step that is over in no time: the process stands still as soon as it says that it begins."""
    # With a rehearsal to come the engine is asked for its space, which is a part of that step.
    options = () if blow.step == "check disk space" else ("--rehearse", "off")
    with watched(site, *options, stands_at=Place(blow.step)) as build:
        build.wait_standing()
        strike(build, blow)


def in_bytes(site: BuildSite, blow: Blow) -> None:
    """By the bytes of the model that are packed, or by those of the tar that are read back, which is little more."""
    with watched(site, "--rehearse", "off", stands_at=Place(blow.step, int(blow.place * MODEL_SIZE))) as build:
        build.wait_standing()
        strike(build, blow)


def in_rehearsal(site: BuildSite, blow: Blow) -> None:
    """In what is sent of the layers: the model's, then the first part of busybox's."""
    before = images_in(site.engine)
    limit = int(blow.place * (MODEL_SIZE + OS_SIZE))
    with stalling_proxy(site.root, site.engine.socket, limit) as proxy, watched(site, "--host", proxy.url) as build:
        assert proxy.stalled.wait(PATIENCE_S), build.complaint
        strike(build, blow, proxy.released.set)
    if blow.number == signal.SIGKILL and blow.place >= LOADED:
        assert images_in(site.engine) != before, "the model's layer stands there without a name"


def in_mounted_rehearsal(site: BuildSite, blow: Blow) -> None:
    (site.recipe / "recipe.yaml").write_text(SLOW_CHECK)
    before = containers_in(site.engine)
    with watched(site, "--rehearse", "mounted") as build:
        build.wait_for(in_step("rehearse: run checks with the models mounted"))
        wait_until(lambda: containers_in(site.engine) != before)
        time.sleep(1.8 * blow.place)
        strike(build, blow)
    if blow.number == signal.SIGKILL:
        assert containers_in(site.engine) != before, "the check's container stands there"


WAYS: dict[str, Callable[[BuildSite, Blow], None]] = {
    "resolve": in_resolve,
    "check disk space": in_passing,
    "download": in_download,
    "build images": in_image_build,
    "build images: prepare": in_prepare,
    "compose": in_passing,
    "write the bundle": in_bytes,
    "read the bundle back": in_bytes,
    "rehearse": in_rehearsal,
    "rehearse: mounted": in_mounted_rehearsal,
    "write the kit": in_passing,
}
#: In these there is one place alone: waiting for the Hub's answer, or the step's beginning.
AT_ONE_PLACE = (in_resolve, in_passing)


def strike(build: WatchedBuild, blow: Blow, afterwards: Callable[[], None] = lambda: None) -> None:
    """The blow itself: the process lives and is in the middle of that step."""
    step = blow.step.partition(":")[0]
    inner = "verify the kit's files" if step == "read the bundle back" else step
    build.wait_for(in_step(step))  # it has said so, and may not have been heard yet
    assert build.step.startswith((step, inner)), build.step
    build.strike(blow.number)
    if blow.number == signal.SIGKILL:
        assert build.end() == -signal.SIGKILL
    else:
        wait_heard(build.process.pid, blow.number)
        afterwards()
        assert build.end() == 128 + blow.number, build.complaint
        assert "Interrupted" in build.complaint
        assert "Traceback" not in build.complaint


# -- what stands


def containers_in(engine: RunningEngine) -> list[str]:
    return sorted(engine.docker("ps", "--all", "--quiet", "--no-trunc").split())


@dataclass(frozen=True)
class Standing:
    """What a build may not change: images beside the builder's own cache, and containers."""

    images: list[str]
    containers: list[str]

    @classmethod
    def of(cls, engine: RunningEngine) -> Standing:
        images = [line for line in images_in(engine) if "bundler.invalid/cache" not in line]
        return cls(images, containers_in(engine))


def begun_files(site: BuildSite) -> list[Path]:
    """Model files that are not whole yet: kept for the next run, which leaves none."""
    return [path for path in (site.root / "cache" / "bundler" / "partial").rglob("*") if path.is_file()]


def kill_and_go_on(site: BuildSite, blow: Blow) -> None:
    before = Standing.of(site.engine)
    layers = packed_layers(site)
    WAYS[blow.step](site, blow)
    assert not site.kit.exists()
    if blow.number != signal.SIGKILL:
        assert Standing.of(site.engine) == before, "what was begun is undone at once"
        assert not site.output.exists() or not any(site.output.iterdir())
    built = packed_layers(site)
    site.hub.faults.clear()
    site.hub.forget_requests()
    kit = site.build("--rehearse", rehearsal_after(blow))
    assert verify_kit(kit, TrustPolicy(), SilentProgress()).problems == ()
    assert [path.name for path in site.output.iterdir()] == [kit.name]
    assert Standing.of(site.engine) == before
    assert begun_files(site) == []
    require_nothing_twice(site, blow, layers, built)


def rehearsal_after(blow: Blow) -> str:
    """The next build clears up after a rehearsal whether it has one of its own or not."""
    sent = blow.step == "rehearse" and blow.place < LOADED
    return "full" if sent or blow.step == "write the kit" else "off"


def packed_layers(site: BuildSite) -> set[str]:
    """The layers at the ordinary level that are packed."""
    return {path.name for path in (site.root / "cache" / "bundler" / "layers").glob("*-3")}


def require_nothing_twice(site: BuildSite, blow: Blow, before: set[str], built: set[str]) -> None:
    """Finished files are not fetched, finished layers not packed a second time."""
    fetched = {seen.path.rpartition("/")[2] for seen in site.hub.requests() if seen.method == "GET"}
    if blow.step == "resolve":
        assert fetched - {"LICENSE", "README.md"} == {"main"}, "the model's files were here from before"
    elif blow.step == "download":
        assert fetched == {"model.safetensors"}, "the files before it were finished"
    else:
        assert fetched == set()
    if not blow.step.startswith("build images"):
        assert packed_layers(site) == built == before


# -- tests


def test_every_step_has_its_way_to_be_met() -> None:
    assert [step for step in STEPS if not any(step.startswith(way) for way in WAYS)] == []
    assert [way for way in WAYS if not any(step.startswith(way.partition(":")[0]) for step in STEPS)] == []


@pytest.mark.parametrize(
    "blow",
    [
        Blow("resolve", 0.5),
        Blow("check disk space", 0.0),
        Blow("download", 0.6),
        Blow("build images", 0.3),
        Blow("build images: prepare", 0.3),
        Blow("compose", 0.0),
        Blow("write the bundle", 0.4),
        Blow("read the bundle back", 0.5),
        Blow("rehearse", 0.5),
        Blow("rehearse", 0.97),
        Blow("rehearse: mounted", 0.1),
        Blow("write the kit", 0.0),
    ],
    ids=lambda blow: f"{blow.step} {blow.place}",
)
def test_killed_in_the_step(site: BuildSite, blow: Blow) -> None:
    kill_and_go_on(site, blow)


@pytest.mark.parametrize(
    "blow",
    [
        Blow("download", 0.3, signal.SIGINT),
        Blow("build images", 0.1, signal.SIGTERM),
        Blow("build images: prepare", 0.1, signal.SIGTERM),
        Blow("rehearse", 0.9, signal.SIGTERM),
    ],
    ids=lambda blow: f"{blow.step}-{blow.number}",
)
def test_interrupted_in_the_step(site: BuildSite, blow: Blow) -> None:
    kill_and_go_on(site, blow)


@pytest.mark.parametrize("place", [0.9, 0.97])
def test_killed_in_the_rehearsal_with_a_containerd_store(
    docker26_containerd: RunningEngine, tmp_path: Path, place: float
) -> None:
    with build_site(tmp_path, docker26_containerd, MODEL_SIZE) as site:
        before = Standing.of(site.engine)
        blow = Blow("rehearse", place)
        in_rehearsal(site, blow)
        assert not site.kit.exists()
        site.build("--rehearse", rehearsal_after(blow))
        assert Standing.of(site.engine) == before


@pytest.mark.parametrize("next_way", ["mounted", "--load"])
def test_what_a_killed_mounted_rehearsal_left_goes_with_the_next_run(site: BuildSite, next_way: str) -> None:
    before = Standing.of(site.engine)
    in_mounted_rehearsal(site, Blow("rehearse: mounted", 0.1))
    (site.recipe / "recipe.yaml").write_text(RECIPE)
    site.build("--rehearse", *(["mounted"] if next_way == "mounted" else ["off", "--load"]))
    if next_way == "--load":
        site.engine.docker("rmi", "small:base", "small:1.0.0")
    assert Standing.of(site.engine) == before


def test_a_rehearsal_waits_for_a_build_that_clears_up(site: BuildSite) -> None:
    with ExitStack() as held:
        held.enter_context(exclusive_lock(site.root / "cache" / "bundler" / "rehearsals" / "lock", "a test"))
        with watched(site) as build:
            build.wait_for(in_step("rehearse"))
            build.wait_for(noted(f"waiting, since another run (process {os.getpid()})"))
            held.close()
            assert build.end() == 0, build.complaint


PLACES = [(step, number) for step, way in WAYS.items() for number in range(1 if way in AT_ONE_PLACE else 10)]


@pytest.mark.soak
@pytest.mark.parametrize(("step", "number"), PLACES)
def test_killed_anywhere(site: BuildSite, step: str, number: int) -> None:
    seed = f"{SOAK_SEED}-{step}-{number}"
    place = random.Random(seed).uniform(0.03, 0.98)
    print(f"seed {seed}: killed at {place:.3f}")
    kill_and_go_on(site, Blow(step, place))
