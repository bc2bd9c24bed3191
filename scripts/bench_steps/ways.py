"""The two ways from files to running images on another host, each measured step by step.

Each goes its whole way twice: the first time with engines that hold nothing but the base image (here) and nothing at
all (there), then once more after a change of the application, with what both sides hold by then.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench_steps.programs import seconds_of
from bench_steps.service import BASE, set_version
from testbed.engines import EngineDaemon, EngineKind, RunningEngine
from testbed.images import busybox_image, debian_image

FIRST, UPDATE = "1.0.0", "1.1.0"
_OS_CACHES = ("layers", "blobs", "prepared", "work")


@dataclass(frozen=True)
class Place:
    """Where a run works, and with which engine; ``rootfs`` is the base image's content, None for busybox."""

    work: Path
    kind: EngineKind
    rootfs: Path | None

    @property
    def hand(self) -> Path:
        return self.work / "hand"

    @property
    def recipe(self) -> Path:
        return self.work / "recipe"

    @property
    def cache(self) -> Path:
        return self.work / "cache"

    @property
    def base(self) -> Path:
        """The base image as ``docker save`` wrote it: an import would get another id each time."""
        return self.work / "base.tar"

    @contextmanager
    def engine(self) -> Iterator[RunningEngine]:
        """A new engine with the base image: the first one makes it, all others get that very one."""
        with EngineDaemon(self.kind).running() as engine:
            if self.base.exists():
                engine.docker("load", "--quiet", "--input", str(self.base))
            else:
                self._make_base(engine)
            yield engine

    def _make_base(self, engine: RunningEngine) -> None:
        if self.rootfs is None:
            busybox_image(engine, BASE)
        else:
            debian_image(engine, self.rootfs, BASE)
        engine.docker("save", "--output", str(self.base), BASE)

    @contextmanager
    def engines(self) -> Iterator[tuple[RunningEngine, RunningEngine]]:
        """A new engine to build with, and an empty one on the other side."""
        with self.engine() as here, EngineDaemon(self.kind).running() as there:
            yield here, there


@dataclass
class Trip:
    """One way once: seconds by step, bytes that are carried, and bytes that the other engine had to take in.

    ``inside`` are the seconds of the steps within bundler's build, in its own words; ``checks_s`` those of the checks
    within its install, which read every model file once more out of containers.
    """

    seconds: dict[str, float] = field(default_factory=dict)
    inside: dict[str, float] = field(default_factory=dict)
    checks_s: float = 0.0
    carried_size: int = 0
    taken_size: int = 0

    @property
    def total_s(self) -> float:
        return sum(self.seconds.values())


def by_hand(place: Place) -> dict[str, Trip]:
    """``docker build``, ``docker save | zstd``, sums, and ``docker load`` on the other side; trips by version."""
    with place.engines() as (here, there):
        return {version: _trip_by_hand(place, version, here, there) for version in (FIRST, UPDATE)}


def _trip_by_hand(place: Place, version: str, here: RunningEngine, there: RunningEngine) -> Trip:
    set_version(place.hand, place.recipe, version)
    file, sums, tag = place.work / f"{version}.tar.zst", place.work / "sums", f"bench:{version}"
    trip = Trip()
    home, away = here.environment(), there.environment()

    def step(name: str, script: str, env: dict[str, str], *arguments: str | Path) -> None:
        trip.seconds[name], _ = seconds_of(script, env, place.hand, *arguments)

    step("build", 'docker build -q -t "$1" .', home, tag)
    step("pack", 'docker save "$1" | zstd -T0 -3 -q -f -o "$2"', home, tag, file)
    step("sum", 'sha256sum "$1" >"$2"', home, file, sums)
    step("check", 'sha256sum --check --quiet "$1"', away, sums)
    step("load", 'zstd -dc "$1" | docker load -q', away, file)
    trip.carried_size = file.stat().st_size
    trip.taken_size = int(seconds_of('zstd -dc "$1" | wc -c', away, place.work, file)[1])
    file.unlink()
    return trip


def by_bundler(place: Place, endpoint: str) -> dict[str, Trip]:
    """``bundler build`` and, on the other side, the kit's own loader; trips by version."""
    forget_os_layers(place)
    state = place.work / "state"
    shutil.rmtree(state, ignore_errors=True)
    with place.engines() as (here, there):
        return {
            version: _trip_by_bundler(place, version, endpoint, (here, there), state) for version in (FIRST, UPDATE)
        }


def _trip_by_bundler(
    place: Place, version: str, endpoint: str, engines: tuple[RunningEngine, RunningEngine], state: Path
) -> Trip:
    set_version(place.hand, place.recipe, version)
    trip = Trip()
    away = engines[1].environment()
    trip.seconds["build"], trip.inside = build_kit(place, engines[0], endpoint)
    kit = next(place.work.glob(f"out/bench-{version}-*"))
    trip.seconds["check"], _ = seconds_of("sha256sum --check --quiet SHA256SUMS", away, kit)
    install = '"$1" bundler.pyz install . --state-dir "$2" --json --progress none'
    trip.seconds["load"], printed = seconds_of(install, away, kit, sys.executable, state)
    trip.carried_size = sum(path.stat().st_size for path in kit.rglob("*") if path.is_file())
    receipt = json.loads(printed)
    trip.checks_s = sum(check["seconds"] for check in receipt["checks"])
    trip.taken_size = _sent_size(kit, set(receipt["members_not_read"]))
    shutil.rmtree(kit)
    return trip


def _sent_size(kit: Path, unread: set[str]) -> int:
    """Bytes of the layers that went into the engine, unpacked; ``unread`` are the members of those that did not."""
    images = json.loads((kit / "head/bundle.json").read_bytes())["images"]
    layers = {layer["digest"]: layer["uncompressed_size"] for image in images for layer in image["layers"]}
    return sum(size for digest, size in layers.items() if f"blobs/{digest.replace(':', '/')}" not in unread)


def build_kit(place: Place, engine: RunningEngine, endpoint: str) -> tuple[float, dict[str, float]]:
    """``bundler build`` without a rehearsal; its seconds, and those of its steps as it tells them."""
    env = {**engine.environment(), "XDG_CACHE_HOME": str(place.cache)}
    script = '"$1" -m bundler build "$2" --output "$3" --endpoint "$4" --rehearse off --json --progress none'
    arguments = (sys.executable, place.recipe, place.work / "out", endpoint)
    seconds, printed = seconds_of(script, env, place.work, *arguments)
    return seconds, dict(json.loads(printed)["seconds"])


def forget_os_layers(place: Place) -> None:
    """Leave nothing in bundler's cache but the model: packed layers of the engine would be a head start."""
    for name in _OS_CACHES:
        shutil.rmtree(place.cache / "bundler" / name, ignore_errors=True)
