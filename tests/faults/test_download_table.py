"""The fault table: each row against the real sources and downloaders over a real socket, and each fault really struck.

What came of it stands at the end of the output (``tests/faults/conftest.py``).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bundler.builder.hub.retry import ADVANCE_BYTES
from bundler.builder.lock import LockedModel
from bundler.core.errors import BundlerError
from testbed.authority import Authority
from testbed.hub import Hub
from testbed.hub_faults import Fault, Kind
from testbed.hub_line import SilentHost
from testbed.hub_repo import HubRepo
from tests.support.download_world import (
    HASTY,
    PATIENT,
    REPO,
    World,
    download_world,
    hurry_libraries,
    policy_for,
    require_arrived,
    spec,
    write_content,
)
from tests.support.fault_rows import LFS, ROWS, Arrives, Refused, Row
from tests.support.fault_table import Outcome, outcome, refusal
from tests.support.waiting import wait_until

__all__ = ["outcome"]  # a fixture


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_content(tmp_path_factory.mktemp("table") / "repo")


@pytest.fixture
def world(tmp_path: Path, content: Path) -> Iterator[World]:
    with download_world(tmp_path, content) as world:
        yield world


def locked(world: World) -> LockedModel:
    """What a lock says while all is well."""
    model = world.source().resolve(spec())
    world.hub.forget_requests()
    return model


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_row(row: Row, tmp_path: Path, content: Path, outcome: Outcome) -> None:
    with download_world(tmp_path, content, **row.hub) as world:
        world.policy = policy_for(row.kinds)
        model = locked(world)
        world.hub.faults.add(*row.faults)

        def fetch() -> None:
            require_arrived(world.fetch(model, [world.source()], connections=row.connections), content)

        if isinstance(row.must, Arrives):
            fetch()
            assert max(world.clock.slept, default=0.0) >= row.must.paused_s
            what = "arrives"
        else:
            what = refusal(fetch, row.must)
        struck = [world.hub.faults.struck(kind) for kind in row.kinds]
        assert struck[-1] >= row.at_least
        assert all(struck), "each of the faults was really injected"
        if isinstance(row.must, Refused) and row.must.at_most is not None:
            assert struck[-1] <= row.must.at_most, "to ask again is of no use"
        world.require_sound_store()
        outcome(row.name, sum(struck), what)


#: The Hub's client asks for no ranges by itself.
_BY_WAYS = [(way, row) for way in ("hf_transfer", "hub") for row in ROWS if way != "hub" or not row.ranges]


@pytest.mark.parametrize(
    ("way", "row"),
    _BY_WAYS,
    ids=lambda value: value if isinstance(value, str) else value.name,
)
def test_row_by_another_way(
    way: str, row: Row, tmp_path: Path, content: Path, outcome: Outcome, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever downloader a person insists on: the locked bytes, or an error that says what to do."""
    hurry_libraries(monkeypatch)
    with download_world(tmp_path, content, **row.hub) as world:
        # Libraries try again by themselves, and wait longer each time: that is not waited for.
        world.policy = replace(policy_for(row.kinds), stall_window_s=HASTY.stall_window_s)
        model = locked(world)
        world.hub.faults.add(*row.faults)
        try:
            snapshot = world.fetch(model, [world.source()], way, connections=row.connections)
        except BundlerError as error:
            assert error.exit_code == 4, error
            assert error.where
            assert error.remedy
            what = " ".join(error.what.split())
        else:
            require_arrived(snapshot, content)
            what = "arrives"
        struck = sum(world.hub.faults.struck(kind) for kind in row.kinds)
        assert struck
        assert way in world.ways
        world.require_sound_store()
        outcome(f"{way}: {row.name}", struck, what)


# -- rows that need more than a plan


def test_the_address_of_the_hub_itself_does_not_answer(world: World, content: Path, outcome: Outcome) -> None:
    model = locked(world)
    world.policy = HASTY
    with SilentHost() as silent:
        source = world.source(f"http://{silent.address}")
        must = Refused(r"did not arrive in 5 attempts \(no connection to 127\.0\.0\.1 in")
        what = refusal(lambda: world.fetch(model, [source]), must)
        assert silent.knocks >= 2  # a busy host may be too late to see one of them
        outcome("connect timeout at the Hub, always", silent.knocks, what)
        before = silent.knocks
        require_arrived(world.fetch(model, [source, world.source()]), content)
        assert silent.knocks > before
        outcome("connect timeout at the first of two endpoints", silent.knocks - before, "arrives from the second")


def test_one_of_two_endpoints_fails(world: World, content: Path, outcome: Outcome) -> None:
    model = locked(world)
    with Hub([HubRepo(REPO, content)], direct=True) as mirror:
        mirror.faults.add(Fault("*", Kind.STATUS, times=None, status=502))
        require_arrived(world.fetch(model, [world.source(mirror), world.source()]), content)
        assert any(world.hub.endpoint in note and "from" in note for note in world.progress.notes)
        outcome("HTTP 502 at a mirror, always", mirror.faults.struck(Kind.STATUS), "arrives from the Hub")


def test_a_branch_that_moved_between_lock_and_download(
    world: World, content: Path, tmp_path: Path, outcome: Outcome
) -> None:
    model = locked(world)
    world.hub.push(REPO, write_content(tmp_path / "moved", seed=2))
    require_arrived(world.fetch(model, [world.source()]), content)
    assert world.hub.commit(REPO) != model.commit
    outcome("revision moved after the lock", world.hub.faults.struck(Kind.MOVED), "arrives as locked")


def test_a_commit_that_is_gone(world: World, tmp_path: Path, outcome: Outcome) -> None:
    model = locked(world)
    world.hub.push(REPO, write_content(tmp_path / "moved", seed=2))
    world.hub.forget(REPO, str(model.commit))
    must = Refused("no (such commit|revision)|lost that revision")
    what = refusal(lambda: world.fetch(model, [world.source()]), must)
    answered = [seen.status for seen in world.hub.requests("/resolve/")]
    assert set(answered) == {404}
    outcome("locked commit gone", len(answered), what)


def test_an_authority_that_nobody_knows(tmp_path: Path, content: Path, outcome: Outcome) -> None:
    authority = Authority.make(tmp_path / "authority")
    with download_world(tmp_path, content, tls=authority.context()) as world:
        source = world.source(ca_bundle=authority.certificate)
        model = source.resolve(spec())
        must = Refused(rf"certificate.*(not trusted.*{authority.name}|{authority.name}.*not trusted)")
        what = refusal(lambda: world.fetch(model, [world.source()]), must)
        assert "--ca-bundle" in what
        refusal(lambda: world.source().resolve(spec()), must)
        wait_until(lambda: world.hub.faults.struck(Kind.UNKNOWN_AUTHORITY) >= 2)  # the server hears of it afterwards
        outcome("TLS with an unknown authority", world.hub.faults.struck(Kind.UNKNOWN_AUTHORITY), what)
        require_arrived(world.fetch(model, [source], ca_bundle=authority.certificate), content)


@pytest.mark.parametrize(
    ("token", "kind", "sentence"),
    [
        ("", Kind.GATED, "gated"),
        ("hf_other", Kind.GATED, "gated"),
        ("hf_forged", Kind.WRONG_TOKEN, "does not accept the token|wants to know who asks"),
    ],
    ids=["no token", "a token without access", "a wrong token"],
)
def test_a_gated_repo(tmp_path: Path, content: Path, outcome: Outcome, token: str, kind: Kind, sentence: str) -> None:
    with download_world(tmp_path, content, tokens=["hf_reader", "hf_other"]) as world:
        world.hub.add(HubRepo(REPO, content, gated=True, readers=frozenset({"hf_reader"})))
        good = world.source(credentials=world.credentials("hf_reader"))
        model = good.resolve(spec())
        poor = world.source(credentials=world.credentials(token) if token else None)
        before = world.hub.faults.struck(kind)
        what = refusal(lambda: world.fetch(model, [poor]), Refused(sentence))
        struck = world.hub.faults.struck(kind) - before
        assert 1 <= struck <= len(model.files), "to ask again is of no use"
        assert not token or token not in what
        outcome(f"gated repo, {token or 'no token'}", struck, what)
        require_arrived(world.fetch(model, [good]), content)


@pytest.mark.parametrize(
    ("token", "kind", "sentence"),
    [("", Kind.GATED, "the repo is gated"), ("hf_forged", Kind.WRONG_TOKEN, "does not accept the token")],
)
def test_a_gated_repo_when_it_is_locked(
    tmp_path: Path, content: Path, outcome: Outcome, token: str, kind: Kind, sentence: str
) -> None:
    with download_world(tmp_path, content, tokens=["hf_reader"]) as world:
        repo = write_content(tmp_path / "gated", size=4096)
        (repo / "LICENSE").write_text("Terms.\n")
        world.hub.add(HubRepo(REPO, repo, gated=True, readers=frozenset({"hf_reader"})))
        source = world.source(credentials=world.credentials(token) if token else None)
        what = refusal(lambda: source.resolve(spec()), Refused(sentence))
        assert world.hub.faults.struck(kind)
        outcome(f"locking a gated repo, {token or 'no token'}", world.hub.faults.struck(kind), what)


def test_a_mirror_behind_a_password(tmp_path: Path, content: Path, outcome: Outcome) -> None:
    with (
        download_world(tmp_path, content) as world,
        Hub([HubRepo(REPO, content)], basic_auth=("ann", "secret"), direct=True) as mirror,
    ):
        model = locked(world)
        what = refusal(lambda: world.fetch(model, [world.source(mirror)]), Refused("wants to know who asks"))
        struck = mirror.faults.struck(Kind.NO_PASSWORD)
        assert 1 <= struck <= len(model.files)
        outcome("a mirror behind basic auth", struck, what)


def test_attempts_that_advance_do_not_use_up_the_budget(tmp_path: Path, content: Path, outcome: Outcome) -> None:
    """More cuts than there are attempts, on one connection, each of them after a little more than counts as advance."""
    with download_world(tmp_path, content) as world:
        model = locked(world)
        fault = Fault(LFS, Kind.CUT, times=None, after=ADVANCE_BYTES * 4)
        world.hub.faults.add(fault)
        require_arrived(world.fetch(model, [world.source()], connections=1), content)
        struck = world.hub.faults.struck(fault)
        assert struck > 4 * PATIENT.attempts
        assert world.hub.sent() < 1.1 * model.size, "nothing that came was asked for again"
        outcome("cut every 256 KiB, always", struck, "arrives")
