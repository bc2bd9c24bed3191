"""Whatever goes wrong, in whatever order: the locked bytes or a named error, never anything else, and always an end.

A seed decides about the faults, the downloader, the sources, and about damage to what was kept of an unfinished file.
``BUNDLER_SEEDS=300-400`` runs those seeds alone.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from bundler.builder.hub.fetch import Snapshot
from bundler.builder.hub.retry import ADVANCE_BYTES, ExhaustedError, TransientError, retried
from bundler.builder.hub.source import Source
from bundler.builder.lock import LockedModel
from bundler.core.errors import BundlerError
from testbed.hub import Hub
from testbed.hub_faults import Fault, Kind
from testbed.hub_repo import HubRepo
from tests.support.download_world import (
    HASTY,
    PATIENT,
    REPO,
    WEIGHTS,
    World,
    download_world,
    hurry_libraries,
    in_time,
    require_arrived,
    spec,
    write_content,
)
from tests.support.fault_rows import LFS, RESOLVE, ROWS

SEEDS = 60
SOAK_SEEDS = 400
#: Of one attempt and one connection; with the budget of a real run each seed would take minutes.
IMPATIENT = replace(HASTY, attempts=3, timeout_s=0.5, stall_window_s=0.4)
SIZE = 5 << 20
API = "/api/models/*"
#: The Hub's own client has no limit for these.
_SLOW = frozenset({Kind.SLOW})


def seeds() -> list[object]:
    if chosen := os.environ.get("BUNDLER_SEEDS"):
        first, _, last = chosen.partition("-")
        return list(range(int(first), int(last or first) + 1))
    more = (pytest.param(seed, marks=pytest.mark.soak) for seed in range(SEEDS, SOAK_SEEDS))
    return [*range(SEEDS), *more]


@dataclass(frozen=True)
class Plan:
    """What a seed decided."""

    faults: tuple[Fault, ...]
    mirror_faults: tuple[Fault, ...] | None
    way: str
    connections: int
    damage: Callable[[Path, random.Random], None] | None


def plan_of(chance: random.Random) -> Plan:
    way = chance.choice(["auto", "auto", "auto", "hf_transfer", "hub"])
    mirror = _faults(chance, way, 2) if chance.random() < 0.4 else None
    damage = chance.choice([None, None, flip, cut, forget, garble])
    return Plan(_faults(chance, way, chance.randint(1, 5)), mirror, way, chance.choice([1, 3, 8]), damage)


def _faults(chance: random.Random, way: str, count: int) -> tuple[Fault, ...]:
    known = [fault for row in ROWS for fault in row.faults if way != "hub" or fault.kind not in _SLOW]
    return tuple(_varied(chance, chance.choice(known)) for _ in range(count))


def _varied(chance: random.Random, fault: Fault) -> Fault:
    path = fault.path if fault.on_body else chance.choice([LFS, RESOLVE, "*", API, "*/config.json"])
    after = chance.choice([fault.after, 0, 1, 65_536, 1 << 20, SIZE - 1])
    times = chance.choice([1, 1, 2, 3, 6, None])
    if fault.kind in (Kind.STALL, Kind.SLOW) and after >= ADVANCE_BYTES and times is None:
        times = 6  # each attempt advances, so all of them are made, and each takes its half second
    return replace(
        fault,
        path=path,
        times=times,
        skip=chance.choice([0, 0, 1, 3]),
        after=after if fault.on_body else 0,
        stall_s=5.0,
    )


# -- damage to what a run left behind


def _any(path: Path, chance: random.Random) -> Path | None:
    found = sorted(each for each in path.rglob("*") if each.is_file() and each.stat().st_size)
    return chance.choice(found) if found else None


def flip(path: Path, chance: random.Random) -> None:
    """A bit of an unfinished file or its journal."""
    if found := _any(path, chance):
        content = bytearray(found.read_bytes())
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        found.write_bytes(content)


def cut(path: Path, chance: random.Random) -> None:
    """The end of one is gone."""
    if found := _any(path, chance):
        os.truncate(found, chance.randrange(found.stat().st_size))


def forget(path: Path, chance: random.Random) -> None:
    """One of the two is gone."""
    if found := _any(path, chance):
        found.unlink()


def garble(path: Path, chance: random.Random) -> None:
    """One of the two is something else."""
    if found := _any(path, chance):
        found.write_bytes(chance.randbytes(chance.randrange(1, 5000)))


# -- the property


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_content(tmp_path_factory.mktemp("property") / "repo", SIZE)


@pytest.mark.parametrize("seed", seeds(), ids=lambda seed: f"seed {seed}")
def test_the_locked_bytes_or_a_named_error(
    seed: int, content: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hurry_libraries(monkeypatch)
    chance = random.Random(seed)
    plan = plan_of(chance)
    print(plan)
    with ExitStack() as stack:
        world = stack.enter_context(download_world(tmp_path, content))
        world.policy = IMPATIENT
        sources: list[Source] = [world.source()]
        truth = world.source().resolve(spec())
        world.hub.faults.add(*plan.faults)
        if plan.mirror_faults is not None:
            mirror = stack.enter_context(Hub([HubRepo(REPO, content)], direct=True))
            mirror.faults.add(*plan.mirror_faults)
            sources.insert(chance.randrange(2), world.source(mirror))
        _require_truth(world, sources[0], truth)
        first = _result(world, plan, truth, sources)
        print(first)
        if isinstance(first, Snapshot):
            require_arrived(first, content)
        world.require_sound_store()
        if plan.damage is not None:
            plan.damage(world.store.partial, chance)
        world.hub.faults.end()
        world.policy = PATIENT
        # Where all is well again, what failed arrives, whatever it left behind.
        require_arrived(world.fetch(truth, [world.source()], connections=plan.connections), content)
        world.require_sound_store()


def _require_truth(world: World, source: Source, truth: LockedModel) -> None:
    """Locking under the same faults: the whole truth or a failure that has a name."""

    def resolve() -> LockedModel | None:
        try:
            return retried(lambda: source.resolve(spec()), world.policy, world.clock, lambda *_: None)
        except (BundlerError, ExhaustedError) as error:
            assert str(error)
            return None

    found = in_time(resolve, lambda: None)
    assert found is None or found.files == truth.files


def _result(world: World, plan: Plan, truth: LockedModel, sources: list[Source]) -> Snapshot | BundlerError:
    try:
        return world.fetch(truth, sources, plan.way, connections=plan.connections)
    except BundlerError as error:
        assert error.exit_code == 4, error
        assert WEIGHTS in str(error) or "config.json" in str(error) or "README.md" in str(error), error
        assert error.remedy
        return error
    except TransientError as error:
        raise AssertionError("a failure without a name") from error
