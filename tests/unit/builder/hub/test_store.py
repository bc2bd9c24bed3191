"""The store: a name is a promise about content, kept when a file comes and looked at when it is used."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path

import pytest

from bundler.builder.hub.digests import digests_of
from bundler.builder.hub.local_copy import take_local
from bundler.builder.hub.source import LocalFile
from bundler.builder.hub.store import ModelStore, StoredFile, storing
from bundler.builder.lock import LockedFile
from bundler.core.errors import PreconditionError
from bundler.core.progress import SilentProgress

CONTENT = b"weights" * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
GIT = hashlib.sha1(b"blob %d\0" % len(CONTENT) + CONTENT).hexdigest()
BY_SHA256 = LockedFile(path="model.bin", size=len(CONTENT), sha256=SHA256, git_sha1=None)
BY_GIT = LockedFile(path="config.json", size=len(CONTENT), sha256=None, git_sha1=GIT)


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "cache")


def kept(store: ModelStore, file: LockedFile, content: bytes = CONTENT) -> StoredFile:
    part = store.part(file).path
    part.parent.mkdir(parents=True, exist_ok=True)
    part.write_bytes(content)
    return store.keep(part, file, digests_of(part, file))


@pytest.mark.parametrize("file", [BY_SHA256, BY_GIT])
def test_a_kept_file_is_found_by_what_its_lock_knows(store: ModelStore, file: LockedFile) -> None:
    assert store.find(file) is None
    stored = kept(store, file)
    assert stored == StoredFile(store.path(SHA256), SHA256)
    assert store.find(file) == store.require(file) == stored
    assert stored.path.read_bytes() == CONTENT
    assert stored.path.stat().st_mode & 0o777 == 0o444
    assert not store.part(file).path.exists()


def test_one_content_is_one_file_for_all_recipes(store: ModelStore) -> None:
    kept(store, BY_SHA256)
    kept(store, BY_GIT)
    assert len([path for path in store.objects.rglob("*") if path.is_file()]) == 1


def test_a_file_of_another_size_is_not_found(store: ModelStore) -> None:
    stored = kept(store, BY_SHA256)
    stored.path.chmod(0o644)
    stored.path.write_bytes(CONTENT[:-1])
    assert store.find(BY_SHA256) is None


@pytest.mark.parametrize("file", [BY_SHA256, BY_GIT])
def test_a_file_that_was_altered_is_seen_when_it_is_required_and_removed(store: ModelStore, file: LockedFile) -> None:
    stored = kept(store, file)
    times = stored.path.stat()
    stored.path.chmod(0o644)
    stored.path.write_bytes(b"x" + CONTENT[1:])
    import os

    os.utime(stored.path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert store.find(file) == stored, "size and time say nothing"
    assert store.require(file) is None
    assert not stored.path.exists()


@pytest.mark.parametrize("text", [b"", b"no digest", b"\xff\xfe", b"a" * 63, b"../../etc/passwd"])
def test_a_damaged_link_from_a_git_id_leads_nowhere(store: ModelStore, text: bytes) -> None:
    kept(store, BY_GIT)
    (store.root / "git" / GIT[:2] / GIT).write_bytes(text)
    assert store.find(BY_GIT) is None


def test_who_comes_second_waits_is_told_and_can_be_stopped(store: ModelStore) -> None:
    notes: list[str] = []
    inside, let_go = threading.Event(), threading.Event()

    class Notes(SilentProgress):
        def note(self, text: str) -> None:
            notes.append(text)

    def first() -> None:
        with store.alone(BY_SHA256, "one", SilentProgress(), lambda: None):
            inside.set()
            let_go.wait(30)

    def stop() -> None:
        raise KeyboardInterrupt

    thread = threading.Thread(target=first)
    thread.start()
    try:
        assert inside.wait(30)
        with pytest.raises(KeyboardInterrupt), store.alone(BY_SHA256, "two", Notes(), stop):
            raise AssertionError("two at once")
        assert len(notes) == 1
        assert notes[0].startswith("two: waiting, since another run")
    finally:
        let_go.set()
        thread.join(30)
    with store.alone(BY_SHA256, "three", Notes(), stop):
        assert len(notes) == 1


def test_a_full_disk_is_told_with_its_place(tmp_path: Path) -> None:
    with pytest.raises(PreconditionError, match="No space left") as caught, storing(tmp_path):
        raise OSError(28, "No space left on device", str(tmp_path / "partial"))
    assert caught.value.where == str(tmp_path / "partial")
    assert "XDG_CACHE_HOME" in caught.value.remedy


@pytest.mark.parametrize("ours", [True, False])
@pytest.mark.parametrize(("way", "mode"), [("shared", 0o644), ("copied", 0o644), ("private", 0o600)])
def test_a_local_file_is_taken_and_its_owner_keeps_what_is_theirs(
    store: ModelStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ours: bool, way: str, mode: int
) -> None:
    source, part = tmp_path / "source", store.part(BY_SHA256).path
    source.write_bytes(CONTENT)
    source.chmod(mode)
    (tmp_path / "link").symlink_to(source)
    part.parent.mkdir(parents=True)
    if way == "copied":
        for name in ("_linked", "_cloned", "_moved"):
            monkeypatch.setattr(f"bundler.builder.hub.local_copy.{name}", lambda *_: False)
    digests = take_local(LocalFile(tmp_path / "link", ours=ours), part, BY_SHA256)
    assert digests.fit()
    stored = store.keep(part, BY_SHA256, digests)
    assert stored.path.read_bytes() == CONTENT
    assert not stored.path.is_symlink()
    assert stored.path.stat().st_mode & 0o444 == 0o444
    if ours and way != "copied":
        assert not source.exists()
        return
    assert source.stat().st_mode & 0o777 == mode
    shared = source.stat().st_ino == stored.path.stat().st_ino
    assert shared or way != "shared" or source.stat().st_blocks == stored.path.stat().st_blocks
    source.write_bytes(b"x" + CONTENT[1:])
    assert (store.require(BY_SHA256) is None) == shared, "what its owner did to a shared file is seen"
