"""Models on this host: a Hub cache that the real client made, git clones, plain files; nothing is written there."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import snapshot_download

from bundler.builder.hub.digests import digests_of
from bundler.builder.hub.source import LocalFile
from bundler.builder.hub.sources.credentials import Credentials
from bundler.builder.hub.sources.directory_source import DirectorySource
from bundler.builder.hub.sources.endpoints import Endpoint
from bundler.builder.hub.sources.hub_source import HubSource
from bundler.builder.hub.store import ModelStore
from bundler.builder.lock import LockedModel
from bundler.core.errors import DownloadError
from testbed.hub import Hub, HubRepo
from tests.support.model_repo import REPO, git, wanted, write_repo


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_repo(tmp_path_factory.mktemp("content") / "model")


@pytest.fixture(scope="module")
def hub(content: Path) -> Iterator[Hub]:
    with Hub([HubRepo(REPO, content)]) as running:
        yield running


@pytest.fixture(scope="module")
def direct(hub: Hub) -> LockedModel:
    return HubSource(Endpoint(hub.endpoint), Credentials(), timeout_s=20).resolve(wanted())


@pytest.fixture
def cache(hub: Hub, tmp_path: Path) -> Path:
    """What the Hub's own client leaves."""
    snapshot_download(REPO, endpoint=hub.endpoint, cache_dir=tmp_path / "hub", token=False)
    return tmp_path / "hub"


@pytest.fixture
def clone(hub: Hub, content: Path, tmp_path: Path) -> Path:
    """A clone whose weights are pointers still."""
    folder = tmp_path / "clone"
    git("clone", "-q", f"{hub.endpoint}/git/{REPO}.git", folder, GIT_LFS_SKIP_SMUDGE="1")
    return folder


def source(directory: Path) -> DirectorySource:
    return DirectorySource(directory, directory.parent / "own-cache")


def require_all(directory: Path, model: LockedModel) -> None:
    places = source(directory)
    for file in model.files:
        assert digests_of(places.locate(model, file).path, file).fit()


def refusal(directory: Path, model: LockedModel, path: str = "model.safetensors") -> str:
    with pytest.raises(DownloadError) as caught:
        source(directory).locate(model, next(file for file in model.files if file.path == path))
    return str(caught.value)


def seen(directory: Path) -> dict[str, tuple[int, int]]:
    return {str(path): (path.lstat().st_mtime_ns, path.lstat().st_size) for path in sorted(directory.rglob("*"))}


# -- a cache of the Hub's client


def test_a_hub_cache_resolves_to_what_the_hub_says(cache: Path, direct: LockedModel) -> None:
    assert source(cache).resolve(wanted()) == direct
    assert source(cache.parent).resolve(wanted()) == direct  # HF_HOME, which has hub/ in it
    assert source(cache / "models--acme--tiny").resolve(wanted()) == direct
    assert source(cache / "models--acme--tiny" / "snapshots" / str(direct.commit)).resolve(wanted()) == direct
    assert source(cache).resolve(wanted(revision=direct.commit)).files == direct.files


def test_a_hub_cache_gives_every_file_and_stays_as_it_is(cache: Path, direct: LockedModel) -> None:
    before = seen(cache)
    require_all(cache, direct)
    source(cache).resolve(wanted())
    assert seen(cache) == before


def test_a_cache_without_a_listing_is_told_by_its_blobs(cache: Path, direct: LockedModel) -> None:
    shutil.rmtree(cache / "models--acme--tiny" / "trees", ignore_errors=True)
    assert source(cache).resolve(wanted()) == direct


def test_a_cache_that_has_only_a_part_knows_what_it_lacks(hub: Hub, tmp_path: Path, direct: LockedModel) -> None:
    snapshot_download(
        REPO, endpoint=hub.endpoint, cache_dir=tmp_path / "hub", token=False, allow_patterns=["*.json", "*.md"]
    )
    assert source(tmp_path / "hub").resolve(wanted()).files == direct.files
    assert "model.safetensors is not there" in refusal(tmp_path / "hub", direct)


def test_real_files_in_the_place_of_links_get_a_sha256(cache: Path, direct: LockedModel) -> None:
    folder = cache / "models--acme--tiny"
    shutil.rmtree(folder / "trees", ignore_errors=True)
    for path in list((folder / "snapshots").rglob("*")):
        if path.is_symlink():
            real = path.read_bytes()
            path.unlink()
            path.write_bytes(real)
    shutil.rmtree(folder / "blobs")
    model = source(cache).resolve(wanted())
    assert all(file.sha256 for file in model.files)
    assert [(file.path, file.size) for file in model.files] == [(file.path, file.size) for file in direct.files]
    require_all(cache, direct)


def test_a_damaged_blob_is_named(cache: Path, direct: LockedModel) -> None:
    weights = next(file for file in direct.files if file.sha256)
    blob = cache / "models--acme--tiny" / "blobs" / str(weights.sha256)
    blob.write_bytes(blob.read_bytes()[:-1] + b"?")
    with pytest.raises(DownloadError, match="is not what its digest says"):
        source(cache).resolve(wanted())


def test_a_revision_that_the_cache_does_not_know(cache: Path) -> None:
    with pytest.raises(DownloadError, match="does not say which commit") as caught:
        source(cache).resolve(wanted(revision="v2"))
    assert "bundler lock" in caught.value.remedy


# -- a git clone


def test_a_clone_resolves_to_what_the_hub_says(clone: Path, direct: LockedModel) -> None:
    assert source(clone).resolve(wanted()) == direct
    assert source(clone).resolve(wanted(revision=direct.commit)).files == direct.files
    with pytest.raises(DownloadError, match="does not say which commit"):
        source(clone).resolve(wanted(revision="--help"))


def test_a_pointer_left_in_place_is_an_error_by_name(clone: Path, direct: LockedModel) -> None:
    told = refusal(clone, direct)
    assert "model.safetensors is a git-LFS pointer" in told
    assert f"git lfs pull in {clone}" in told


def test_a_clone_with_its_weights_gives_every_file(clone: Path, content: Path, direct: LockedModel) -> None:
    shutil.copy(content / "model.safetensors", clone / "model.safetensors")
    before = seen(clone)
    require_all(clone, direct)
    assert seen(clone) == before


def test_what_git_lfs_and_git_keep_serves_where_another_commit_is_checked_out(
    clone: Path, content: Path, direct: LockedModel
) -> None:
    weights = next(file for file in direct.files if file.sha256)
    kept = clone / ".git" / "lfs" / "objects" / str(weights.sha256)[:2] / str(weights.sha256)[2:4] / str(weights.sha256)
    kept.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(content / "model.safetensors", kept)
    (clone / "config.json").write_text('{"hidden_size": 16, "changed": true}\n')
    require_all(clone, direct)


def test_a_bare_clone(hub: Hub, tmp_path: Path, direct: LockedModel) -> None:
    git("clone", "-q", "--bare", f"{hub.endpoint}/git/{REPO}.git", tmp_path / "bare.git")
    assert source(tmp_path / "bare.git").resolve(wanted()) == direct
    found = source(tmp_path / "bare.git").locate(direct, next(f for f in direct.files if f.path == "config.json"))
    assert found.ours


# -- plain files


@pytest.mark.parametrize("place", [".", "tiny", "acme/tiny", "acme--tiny"])
def test_plain_files_serve_a_lock_and_resolve_nothing(
    content: Path, tmp_path: Path, direct: LockedModel, place: str
) -> None:
    shutil.copytree(content, tmp_path / "models" / place, dirs_exist_ok=True)
    require_all(tmp_path / "models", direct)
    with pytest.raises(DownloadError, match="does not say which commit"):
        source(tmp_path / "models").resolve(wanted())


def test_anothers_file_of_the_same_name_and_size_is_not_taken(
    content: Path, tmp_path: Path, direct: LockedModel
) -> None:
    shutil.copytree(content, tmp_path / "models" / "tiny")
    other = (content / "config.json").read_text().replace("8", "9")
    (tmp_path / "models" / "config.json").write_text(other)
    require_all(tmp_path / "models", direct)


def test_why_a_file_is_not_the_locked_one(content: Path, tmp_path: Path, direct: LockedModel) -> None:
    folder = shutil.copytree(content, tmp_path / "model")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    assert "100 bytes, the locked file 70,000" in refusal(folder, direct)
    weights.unlink()
    assert "model.safetensors is not there" in refusal(folder, direct)
    (folder / "config.json").write_text('{"hidden_size": 9}\n')
    assert "another digest" in refusal(folder, direct, "config.json")
    assert "no such directory" in refusal(tmp_path / "absent", direct)


def test_what_cannot_be_read(content: Path, tmp_path: Path, direct: LockedModel) -> None:
    folder = shutil.copytree(content, tmp_path / "model")
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").mkdir()
    assert "cannot be read: Is a directory" in refusal(folder, direct)


def test_another_cache_of_ours(content: Path, tmp_path: Path, direct: LockedModel) -> None:
    store = ModelStore(tmp_path / "carried")
    for file in direct.files:
        copied = tmp_path / "copied"
        shutil.copy(content / file.path, copied)
        store.keep(copied, file, digests_of(copied, file))
    require_all(tmp_path / "carried", direct)
    assert isinstance(source(tmp_path / "carried").locate(direct, direct.files[0]), LocalFile)
