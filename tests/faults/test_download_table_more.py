"""Rows of the fault table that the Hub's bytes have no part in: locking, a full disk, a proxy that wants a password."""

from __future__ import annotations

import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from bundler.builder.recipe_file import load_recipe
from bundler.builder.recipe_models import DownloadSpec
from bundler.builder.supply import DownloadSettings, ModelSupply
from testbed.hub_faults import Fault, Kind
from testbed.hub_line import SilentHost
from testbed.proxy import Proxy
from tests.support.build_site import write_recipe
from tests.support.disks import disk
from tests.support.download_world import (
    World,
    download_world,
    hurry_libraries,
    in_time,
    require_arrived,
    spec,
    write_content,
)
from tests.support.fault_rows import Arrives, Must, Refused
from tests.support.fault_table import Outcome, outcome, refusal

__all__ = ["outcome"]  # a fixture
API = "/api/models/*"
_UNANSWERED = r"model tiny: no answer about its files in 4 attempts"
#: Fault, and what must happen when a recipe is locked.
LOCKING: tuple[tuple[str, Fault, Must], ...] = (
    ("HTTP 503, twice", Fault(API, Kind.STATUS, times=2), Arrives()),
    ("HTTP 429 with Retry-After, twice", Fault(API, Kind.STATUS, times=2, status=429, retry_after_s=77), Arrives(77)),
    ("HTTP 503, always", Fault(API, Kind.STATUS, times=None), Refused(rf"{_UNANSWERED} \(.*HTTP 503")),
    ("reset, twice", Fault(API, Kind.RESET, times=2), Arrives()),
    ("reset, always", Fault(API, Kind.RESET, times=None), Refused(_UNANSWERED)),
    ("stall, twice", Fault(API, Kind.STALL, times=2), Arrives()),
    ("HTML in the place of an answer, twice", Fault(API, Kind.HTML, times=2), Arrives()),
    ("HTML in the place of an answer, always", Fault(API, Kind.HTML, times=None), Refused("web page|as the Hub does")),
    ("redirect loop", Fault(API, Kind.REDIRECT_LOOP, times=None), Refused("circle")),
    ("DNS failure of where it redirects to", Fault(API, Kind.NO_NAME, times=None), Refused(_UNANSWERED)),
)


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_content(tmp_path_factory.mktemp("table") / "repo")


@pytest.fixture
def world(tmp_path: Path, content: Path) -> Iterator[World]:
    with download_world(tmp_path, content) as world:
        yield world


def supply(world: World, endpoint: str, *, silent: bool) -> ModelSupply:
    """What ``lock``, ``fetch`` and ``build`` ask for models; with patience, except where it is for nothing."""
    timeout = "1s" if silent else "60s"
    decided = DownloadSpec.model_validate({"attempts": 4, "timeout": timeout, "first_delay": "1s"})
    recipe = load_recipe(write_recipe(world.root / "recipe"))
    return ModelSupply(
        recipe, DownloadSettings((endpoint,), spec=decided), world.store.root, world.progress, world.clock
    )


@pytest.mark.parametrize(("name", "fault", "must"), LOCKING, ids=[row[0] for row in LOCKING])
def test_locking(name: str, fault: Fault, must: Must, world: World, outcome: Outcome) -> None:
    truth = world.source().resolve(spec())
    world.hub.faults.add(fault)
    asked = supply(world, world.hub.endpoint, silent=fault.kind is Kind.STALL)

    def lock() -> None:
        found = in_time(lambda: asked.resolve(spec()), lambda: None)
        assert found == truth

    if isinstance(must, Arrives):
        lock()
        assert max(world.clock.slept) >= must.paused_s
        what = "locks"
    else:
        what = refusal(lock, must)
    assert world.hub.faults.struck(fault)
    outcome(f"locking: {name}", world.hub.faults.struck(fault), what)


def test_locking_where_nothing_answers(world: World, outcome: Outcome) -> None:
    with SilentHost() as silent:
        asked = supply(world, f"http://{silent.address}", silent=True)
        what = refusal(lambda: asked.resolve(spec()), Refused(rf"{_UNANSWERED} \(no connection"))
        assert silent.knocks >= 2  # a busy host may be too late to see one of them
        outcome("locking: connect timeout, always", silent.knocks, what)


@pytest.mark.parametrize("way", ["auto", "hub", "hf_transfer"])
def test_a_full_disk(
    tmp_path: Path, content: Path, way: str, outcome: Outcome, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not retried; and with room again it goes on."""
    hurry_libraries(monkeypatch)
    with disk(tmp_path / "disk", 3 << 20) as place, download_world(place, content) as world:
        model = world.source().resolve(spec())
        must = Refused("No space left on device", exit_code=10)
        what = refusal(lambda: world.fetch(model, [world.source()], way), must)
        # A library may have filled the disk so well that no journal had room, and its part was of no use.
        assert way != "auto" or shutil.disk_usage(place).free < 1 << 20
        # A library tells it in words of its own, which count as a failed attempt; the next one meets the disk itself.
        # Files come side by side: a small one may meet it too, or as the first, which ends the others at once.
        again = Counter(note.partition(":")[0] for note in world.progress.notes if "No space" in note)
        assert max(again.values(), default=0) <= (way != "auto"), "to try again is of no use"
        outcome(f"disk full{'' if way == 'auto' else f', by {way}'}", 1 + again.total(), what)
        subprocess.run(["mount", "-o", f"remount,size={64 << 20}", str(place)], check=True)
        require_arrived(world.fetch(model, [world.source()], way), content)


def test_a_proxy_that_wants_a_password(
    world: World, content: Path, outcome: Outcome, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = world.source().resolve(spec())
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    with Proxy(password=("ann", "secret")) as proxy:
        for name in ("HTTP_PROXY", "http_proxy"):
            monkeypatch.setenv(name, proxy.address)
        must = Refused("proxy.*(407|who asks)")
        what = refusal(lambda: world.fetch(model, [world.source()]), must)
        refused = [asked for asked in proxy.asked if asked.status == 407]
        assert 1 <= len(refused) <= len(model.files)
        outcome("a proxy that wants a password", len(refused), what)
        for name in ("HTTP_PROXY", "http_proxy"):
            monkeypatch.setenv(name, proxy.address_for("ann", "secret"))
        require_arrived(world.fetch(model, [world.source()]), content)
        assert proxy.let_through("/lfs/")


def test_a_host_that_needs_no_proxy(world: World, content: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Proxy() as proxy:
        for name in ("HTTP_PROXY", "http_proxy"):
            monkeypatch.setenv(name, proxy.address)
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.setenv(name, "127.0.0.1")
        model = world.source().resolve(spec())
        require_arrived(world.fetch(model, [world.source()]), content)
        assert proxy.asked == []
