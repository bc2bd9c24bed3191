"""A git server with LFS: what a commit holds, where its files are, and what git refuses; the real git, a real server."""

from __future__ import annotations

import shutil
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from bundler.builder.hub.digests import digests_of
from bundler.builder.hub.limits import HaltedError
from bundler.builder.hub.retry import TransientError
from bundler.builder.hub.source import HttpFile, LocalFile
from bundler.builder.hub.sources.credentials import Credentials, gather
from bundler.builder.hub.sources.endpoints import Endpoint
from bundler.builder.hub.sources.git_source import GitSource
from bundler.builder.hub.sources.git_tree import pointer_of
from bundler.builder.hub.sources.hub_source import HubSource
from bundler.builder.lock import LockedFile, LockedModel
from bundler.core.errors import DownloadError
from testbed.authority import Authority
from testbed.hub import Fault, Hub, HubRepo, Kind
from tests.support.model_repo import REPO, git, wanted, write_repo

TOKEN = "hf_" + "q" * 30


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    folder = write_repo(tmp_path_factory.mktemp("hub") / "model")
    other = write_repo(tmp_path_factory.mktemp("hub") / "other", seed=2)
    gated = HubRepo("acme/gated", folder, gated=True, readers=frozenset({TOKEN}))
    with Hub([HubRepo(REPO, folder, branches={"v2/beta": other}), gated], tokens=[TOKEN]) as running:
        yield running


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


def source(url: str, tmp_path: Path) -> GitSource:
    return GitSource(url, tmp_path / "cache", Credentials(), timeout_s=20)


def address(hub: Hub, repo: str = REPO) -> str:
    return f"{hub.endpoint}/git/{repo}.git"


def file_of(model: LockedModel, path: str) -> LockedFile:
    return next(file for file in model.files if file.path == path)


def test_it_resolves_to_what_the_hub_says(hub: Hub, tmp_path: Path) -> None:
    direct = HubSource(Endpoint(hub.endpoint), Credentials(), timeout_s=20).resolve(wanted())
    assert source(address(hub), tmp_path).resolve(wanted()) == direct


def test_branches_and_commits_and_what_it_has_not(hub: Hub, tmp_path: Path) -> None:
    places = source(address(hub), tmp_path)
    commit = hub.commit(REPO, "v2/beta")
    assert places.resolve(wanted(revision="v2/beta")).commit == commit
    assert places.resolve(wanted(revision=commit)).files == places.resolve(wanted(revision="v2/beta")).files
    with pytest.raises(DownloadError, match=r"no revision 'v9'; it has main, v2/beta"):
        places.resolve(wanted(revision="v9"))
    with pytest.raises(DownloadError, match="has no commit"):
        places.resolve(wanted(revision="0" * 40))


def test_an_annotated_tag_is_the_commit_that_it_points_to(tmp_path: Path) -> None:
    repo = tmp_path / "repo"
    git("init", "-q", repo)
    (repo / "config.json").write_text("{}\n")
    git("-C", repo, "add", ".")
    git("-C", repo, "commit", "-qm", "x")
    git("-C", repo, "tag", "-am", "one", "v1")
    model = source(f"file://{repo}", tmp_path).resolve(wanted(revision="v1"))
    assert model.commit == git("-C", repo, "rev-parse", "HEAD")


def test_small_files_come_out_of_git(hub: Hub, tmp_path: Path) -> None:
    places = source(address(hub), tmp_path)
    model = places.resolve(wanted())
    for path in ("config.json", "1_Pooling/config é.json"):
        found = places.locate(model, file_of(model, path))
        assert isinstance(found, LocalFile)
        assert found.ours
        assert digests_of(found.path, file_of(model, path)).fit()


def test_files_in_lfs_are_an_address_of_today(hub: Hub, tmp_path: Path) -> None:
    places = source(address(hub), tmp_path)
    model = places.resolve(wanted())
    weights = file_of(model, "model.safetensors")
    first, second = (places.locate(model, weights) for _ in range(2))
    assert isinstance(first, HttpFile)
    assert isinstance(second, HttpFile)
    assert first.url != second.url
    assert first.url.startswith(hub.cdn)
    assert "Authorization" not in first.headers
    (tmp_path / "got").write_bytes(urllib.request.urlopen(first.url).read())
    assert digests_of(tmp_path / "got", weights).fit()


def test_a_model_that_the_hub_locked_is_found_by_its_commit(hub: Hub, tmp_path: Path) -> None:
    model = HubSource(Endpoint(hub.endpoint), Credentials(), timeout_s=20).resolve(wanted(revision="v2/beta"))
    assert isinstance(source(address(hub), tmp_path).locate(model, file_of(model, "config.json")), LocalFile)


def test_git_fetches_a_commit_once(hub: Hub, tmp_path: Path) -> None:
    model = source(address(hub), tmp_path).resolve(wanted())
    hub.forget_requests()
    source(address(hub), tmp_path).locate(model, file_of(model, "config.json"))
    assert hub.requests("git-upload-pack") == []


def test_who_asks_is_known_by_netrc_for_git_and_lfs(hub: Hub, tmp_path: Path, home: Path) -> None:
    with pytest.raises(DownloadError, match="wants to know who asks") as caught:
        source(address(hub, "acme/gated"), tmp_path).resolve(wanted("acme/gated"))
    assert "netrc" in caught.value.remedy
    (home / ".netrc").write_text(f"machine 127.0.0.1 login user password {TOKEN}\n")
    places = GitSource(address(hub, "acme/gated"), tmp_path / "cache", gather({}), timeout_s=20)
    model = places.resolve(wanted("acme/gated"))
    assert isinstance(places.locate(model, file_of(model, "model.safetensors")), HttpFile)


def test_who_asks_is_known_by_a_helper_of_git(hub: Hub, tmp_path: Path, home: Path) -> None:
    helper = home / "helper"
    helper.write_text(f'#!/bin/sh\n[ "$1" = get ] && echo username=user && echo password={TOKEN}\n')
    helper.chmod(0o700)
    (home / ".gitconfig").write_text(f"[credential]\n\thelper = {helper}\n")
    places = source(address(hub, "acme/gated"), tmp_path)
    model = places.resolve(wanted("acme/gated"))
    found = places.locate(model, file_of(model, "model.safetensors"))
    assert isinstance(found, HttpFile)
    assert TOKEN not in repr(found) + repr(places) + repr(vars(places))


def test_no_such_repository_and_no_server(hub: Hub, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="no such"):
        source(address(hub, "acme/absent"), tmp_path).resolve(wanted())
    with pytest.raises(DownloadError, match="no such git repository"):
        source(f"file://{tmp_path}/absent", tmp_path).resolve(wanted())
    with pytest.raises(TransientError):
        source("http://127.0.0.1:9/x.git", tmp_path).resolve(wanted())
    with pytest.raises(TransientError):
        source("https://git.invalid/x.git", tmp_path).resolve(wanted())


def test_git_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DownloadError, match="git is not installed"):
        source("https://git.example/x.git", tmp_path).resolve(wanted())


@pytest.mark.parametrize("url", ["ext::sh -c touch% PWNED", "fd::0", "--upload-pack=touch PWNED"])
def test_addresses_that_run_programs_run_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DownloadError):
        source(url.replace("PWNED", str(tmp_path / "PWNED")), tmp_path).resolve(wanted())
    assert not (tmp_path / "PWNED").exists()


def test_lfs_over_ssh_is_refused_with_a_way_out(hub: Hub, tmp_path: Path) -> None:
    """git itself is served a local copy, as ssh would serve one."""
    model = source(address(hub), tmp_path).resolve(wanted())
    over_ssh = source("git@host.example:acme/tiny.git", tmp_path)
    work = next((tmp_path / "cache" / "git-work").iterdir())
    shutil.copytree(work, over_ssh._folder)
    with pytest.raises(DownloadError, match="not by ssh") as caught:
        over_ssh.locate(model, file_of(model, "model.safetensors"))
    assert "--from DIRECTORY" in caught.value.remedy


def test_a_repository_on_this_host_with_its_lfs_objects(hub: Hub, tmp_path: Path) -> None:
    clone = tmp_path / "clone.git"
    git("clone", "-q", "--bare", address(hub), clone)
    places = source(f"file://{clone}", tmp_path)
    model = places.resolve(wanted())
    weights = file_of(model, "model.safetensors")
    with pytest.raises(DownloadError, match="does not hold the content") as caught:
        places.locate(model, weights)
    assert "git lfs fetch" in caught.value.remedy
    kept = clone / "lfs" / "objects" / str(weights.sha256)[:2] / str(weights.sha256)[2:4] / str(weights.sha256)
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"x")
    assert places.locate(model, weights) == LocalFile(kept)


def test_an_object_that_the_lfs_server_lacks(tmp_path: Path) -> None:
    with Hub([HubRepo(REPO, write_repo(tmp_path / "model"))]) as lacking:
        places = source(address(lacking), tmp_path)
        model = places.resolve(wanted())
        lacking._blobs.clear()
        with pytest.raises(DownloadError, match="does not give the file"):
            places.locate(model, file_of(model, "model.safetensors"))


def test_an_authority_beside_the_usual_ones(tmp_path: Path) -> None:
    authority = Authority.make(tmp_path / "authority")
    with Hub([HubRepo(REPO, write_repo(tmp_path / "model"))], tls=authority.context()) as served:
        with pytest.raises(DownloadError, match=r"which CN=Acme Inspection CA, O=Acme signed, is not trusted"):
            source(address(served), tmp_path).resolve(wanted())
        places = GitSource(address(served), tmp_path / "cache", Credentials(), authority.certificate, timeout_s=20)
        model = places.resolve(wanted())
        assert isinstance(places.locate(model, file_of(model, "model.safetensors")), HttpFile)
    bundle = next((tmp_path / "cache" / "git-work").glob("*/authorities.pem"))
    assert bundle.read_text().count("BEGIN CERTIFICATE") > 50


def test_a_halted_run_ends_git_and_what_git_started(tmp_path: Path) -> None:
    halt = threading.Event()
    with Hub([], faults=[Fault("*", Kind.STALL, times=None, stall_s=600)]) as stalled:
        places = GitSource(address(stalled), tmp_path / "cache", Credentials(), timeout_s=600, halt=halt)
        threading.Timer(1, halt.set).start()
        began = time.monotonic()
        with pytest.raises(HaltedError):
            places.resolve(wanted())
        assert time.monotonic() - began < 120
        while _commands_with(stalled.endpoint):  # killed, and perhaps not gone yet
            assert time.monotonic() - began < 120
            time.sleep(0.1)


def _commands_with(text: str) -> list[bytes]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            found.append(path.read_bytes())
    return [command for command in found if b"git" in command and text.encode() in command]


@pytest.mark.parametrize(
    ("content", "is_one"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"a" * 64 + b"\nsize 12\n", True),
        (b"version https://hawser.github.com/spec/v1\noid sha256:" + b"a" * 64 + b"\nsize 12\n", True),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"a" * 63 + b"\nsize 12\n", False),
        (b"version https://git-lfs.github.com/spec/v1\n" + b"x" * 2000, False),
        (b"{}", False),
    ],
)
def test_pointers(content: bytes, is_one: bool) -> None:
    assert (pointer_of(content) is not None) is is_one
