"""The cache's care: what is listed, what is found damaged, what goes and what stays."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from pathlib import Path, PurePosixPath

import pytest

from bundler.builder.cache import Cache
from bundler.builder.cache_care import cache_state, damaged_objects, incomplete, prune, remove_damaged
from bundler.builder.hub.catalogue import Catalogue
from bundler.builder.hub.digests import digests_of
from bundler.builder.hub.store import ModelStore
from bundler.builder.lock import LockedFile, LockedModel
from bundler.builder.recipe_models import ModelSpec
from bundler.core.errors import PreconditionError
from bundler.core.locking import exclusive_lock
from bundler.core.progress import SilentProgress
from tests.support.locked import locked_model

DAY_S = 24 * 3600.0
NOW = 1_000 * DAY_S


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


def brought(cache: Cache, name: str, *contents: bytes, days_ago: float = 0) -> LockedModel:
    """A model whose files are in the store, used so many days ago."""
    store, files = ModelStore(cache.root), []
    for number, content in enumerate(contents):
        sha256 = hashlib.sha256(content).hexdigest()
        file = LockedFile(path=f"file-{number}", size=len(content), sha256=sha256, git_sha1=None)
        if store.find(file) is None:
            part = store.part(file).path
            part.parent.mkdir(parents=True, exist_ok=True)
            part.write_bytes(content)
            store.keep(part, file, digests_of(part, file))
        files.append(file)
    model = locked_model(name, files=tuple(files))
    spec = ModelSpec(
        name=name, repo=model.repo_id, path=PurePosixPath("/m"), include=("*",), sources=({"directory": "x"}, "hub")
    )
    Catalogue(cache.root, now=lambda: NOW - days_ago * DAY_S).note(spec, model, cache.root / "recipe")
    return model


def objects(cache: Cache) -> set[bytes]:
    return {path.read_bytes() for path in (cache.root / "objects").rglob("*") if path.is_file()}


def test_the_catalogue_gives_back_what_was_noted(cache: Cache) -> None:
    model = brought(cache, "one", b"a", b"bb", days_ago=1)
    brought(cache, "two", b"ccc")
    (cache.root / "models" / "broken.json").write_text("{")
    entries = [entry for _, entry in Catalogue(cache.root).entries()]
    assert [entry.spec.name for entry in entries] == ["two", "one"]
    assert entries[1].model == model
    assert entries[1].spec.include == ("*",)
    assert entries[1].used == NOW - DAY_S


def test_an_empty_cache_has_nothing_and_is_not_made(cache: Cache) -> None:
    state = cache_state(cache)
    assert state.models == ()
    assert all(size == 0 for _, size in state.sizes)
    assert damaged_objects(cache, SilentProgress()) == ()
    assert prune(cache, 0, dry_run=False).paths == ()
    assert not cache.root.exists()


def test_the_list_shows_each_model_and_what_of_it_is_here(cache: Cache) -> None:
    brought(cache, "one", b"a", b"bb")
    (path,) = (path for path in (cache.root / "objects").rglob("*") if path.is_file() and path.stat().st_size == 1)
    path.unlink()
    (model,) = cache_state(cache).models
    assert (model.name, model.size, model.here) == ("one", 3, 2)
    assert dict(cache_state(cache).sizes)["objects"] == 2
    assert [entry.spec.name for entry in incomplete(cache)] == ["one"]


def test_a_damaged_file_is_named_removed_and_then_lacking(cache: Cache) -> None:
    brought(cache, "one", b"aaa", b"bbb")
    assert damaged_objects(cache, SilentProgress()) == ()
    assert incomplete(cache) == ()
    damaged = ModelStore(cache.root).path(hashlib.sha256(b"aaa").hexdigest())
    damaged.chmod(0o644)
    damaged.write_bytes(b"axa")
    (problem,) = damaged_objects(cache, SilentProgress())
    assert problem.where == str(damaged)
    remove_damaged((problem,))
    assert objects(cache) == {b"bbb"}
    assert [entry.spec.name for entry in incomplete(cache)] == ["one"]


def test_pruning_keeps_what_is_used_and_what_it_shares(cache: Cache) -> None:
    brought(cache, "old", b"old", b"shared", days_ago=40)
    brought(cache, "young", b"young", b"shared", days_ago=20)
    would = prune(cache, 30, dry_run=True, now=NOW)
    assert objects(cache) == {b"old", b"shared", b"young"}
    pruned = prune(cache, 30, dry_run=False, now=NOW)
    assert pruned == would
    assert objects(cache) == {b"shared", b"young"}
    assert [entry.spec.name for _, entry in Catalogue(cache.root).entries()] == ["young"]


def test_what_an_unfinished_fetch_brought_is_not_pruned_before_its_time(cache: Cache) -> None:
    brought(cache, "unfinished", b"first file")
    for path in (cache.root / "models").iterdir():
        path.unlink()
    assert prune(cache, 1, dry_run=False).paths == ()
    assert objects(cache) == {b"first file"}
    prune(cache, 1, dry_run=False, now=time.time() + 2 * DAY_S)
    assert objects(cache) == set()


def test_while_an_entry_cannot_be_read_what_nobody_knows_stays(cache: Cache) -> None:
    brought(cache, "newer", b"weights")
    (path,) = (cache.root / "models").iterdir()
    path.write_text(path.read_text().replace('"repo_id"', '"of_a_later_release": 1, "repo_id"'))
    later = time.time() + 40 * DAY_S
    os.utime(path, (later, later))
    prune(cache, 30, dry_run=False, now=later)
    assert objects(cache) == {b"weights"}
    prune(cache, -1, dry_run=False, now=later)
    assert objects(cache) == set()
    assert list((cache.root / "models").iterdir()) == []


def test_pruning_goes_by_age_for_what_is_unfinished_or_packed(cache: Cache) -> None:
    for folder in (ModelStore(cache.root).partial, cache.layers, cache.blobs, cache.prepared):
        for name, days in (("old", 40), ("young", 20)):
            path = folder / "below" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"x")
            os.utime(path, (NOW - days * DAY_S,) * 2)
    assert {path.name for path in prune(cache, 30, dry_run=False, now=NOW).paths} == {"old"}
    assert len(prune(cache, -1, dry_run=False, now=NOW).paths) == 4


def test_nothing_is_pruned_under_a_run(cache: Cache) -> None:
    brought(cache, "old", b"old", days_ago=40)
    begun, end = threading.Event(), threading.Event()

    def run() -> None:
        with exclusive_lock(cache.lock("service"), "the bundle service"):
            begun.set()
            end.wait(30)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        assert begun.wait(30)
        with pytest.raises(PreconditionError, match=r"the cache \(service\)"):
            prune(cache, 0, dry_run=False, now=NOW)
        assert objects(cache) == {b"old"}
    finally:
        end.set()
        thread.join(30)
    prune(cache, 0, dry_run=False, now=NOW)
    assert objects(cache) == set()
