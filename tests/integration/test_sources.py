"""The ways that a model can come: all of them give the same lock and the same bytes, and secrets go where they belong.

Real servers and programs: the Hub of the test bed, olah between it and us, git with git-lfs, the Hub's own client.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import snapshot_download

from bundler.builder.hub.retry import RetryPolicy
from bundler.builder.hub.source import Source
from bundler.builder.hub.sources.credentials import Credentials, gather
from bundler.builder.hub.sources.directory_source import DirectorySource
from bundler.builder.hub.sources.endpoints import Endpoint, endpoints_of
from bundler.builder.hub.sources.git_source import GitSource
from bundler.builder.hub.sources.hub_source import HubSource
from bundler.builder.hub.sources.order import resolve_first
from bundler.builder.hub.sources.url_source import UrlSource
from bundler.builder.lock import LockedModel
from bundler.builder.recipe_models import UrlFile
from bundler.core.errors import DownloadError
from testbed.debian import cache_dir, install_host_packages
from testbed.hub import Hub, HubRepo
from testbed.hub_seen import fingerprint
from testbed.olah import Olah
from tests.support.download_world import World, require_arrived
from tests.support.model_repo import REPO, git, wanted, write_repo

SIZE = 9 << 20
#: Nothing fails here on purpose, and the host may be busy.
PATIENT = RetryPolicy(timeout_s=20)
TOKEN, OTHERS = "hf_" + "q" * 30, "m_" + "r" * 30
Make = Callable[["Place"], Source]


class Place:
    """A Hub with one model, and a folder for what a way needs."""

    def __init__(self, root: Path, hub: Hub, content: Path) -> None:
        self.root, self.hub, self.content = root, hub, content
        self.world = World(root, hub, PATIENT)

    @property
    def direct(self) -> HubSource:
        return HubSource(Endpoint(self.hub.endpoint), Credentials(), timeout_s=20)


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_repo(tmp_path_factory.mktemp("content") / "model", SIZE)


@pytest.fixture
def place(content: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    monkeypatch.setenv("BUNDLER_TEST_CACHE", str(cache_dir()))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    with Hub([HubRepo(REPO, content)]) as hub:
        yield Place(tmp_path, hub, content)


# -- ways that know a revision by themselves


def hub_cache(place: Place) -> Source:
    snapshot_download(REPO, endpoint=place.hub.endpoint, cache_dir=place.root / "carried" / "hub", token=False)
    return DirectorySource(place.root / "carried", place.root / "cache")


def clone_with_lfs(place: Place) -> Source:
    install_host_packages(("git", "git-lfs"))
    home = {"HOME": str(place.root / "home")}
    git("lfs", "install", **home)
    git("clone", "-q", f"{place.hub.endpoint}/git/{REPO}.git", place.root / "clone", **home)
    return DirectorySource(place.root / "clone", place.root / "cache")


def git_server(place: Place) -> Source:
    return GitSource(f"{place.hub.endpoint}/git/{REPO}.git", place.root / "cache", Credentials(), timeout_s=20)


@pytest.mark.parametrize("way", [hub_cache, clone_with_lfs, git_server])
def test_every_way_gives_the_lock_and_the_bytes_of_the_direct_one(place: Place, way: Make) -> None:
    source = way(place)
    direct = place.direct.resolve(wanted())
    assert source.resolve(wanted()) == direct
    require_arrived(place.world.fetch(direct, [source]), place.content)
    assert len([note for note in place.world.progress.notes if source.name in note]) in {1, 2}


def test_a_real_mirror_gives_the_lock_and_the_bytes(place: Place) -> None:
    with Olah(place.hub, place.root / "olah") as mirror:
        source = HubSource(Endpoint(mirror.endpoint), Credentials(), timeout_s=20)
        model = source.resolve(wanted())
        assert model == place.direct.resolve(wanted())
        place.hub.forget_requests()
        require_arrived(place.world.fetch(model, [source]), place.content)
        assert {seen.user_agent.partition("/")[0] for seen in place.hub.requests("model.safetensors")} == {
            "python-httpx"
        }


# -- ways that serve a lock


def plain_directory(place: Place, _direct: LockedModel) -> Source:
    return DirectorySource(place.content, place.root / "cache")


def addresses(place: Place, direct: LockedModel) -> Source:
    """Behind each address a redirect to one that is signed, as file stores have them."""
    base = f"{place.hub.endpoint}/{REPO}/resolve/main"
    digests = {file.path: file.sha256 for file in direct.files if file.sha256}
    files = [UrlFile(path=path, url=f"{base}/{path}", sha256=digest) for path, digest in digests.items()]
    return UrlSource(files, Credentials(), timeout_s=20)


@pytest.mark.parametrize("way", [plain_directory, addresses])
def test_a_lock_is_served_by_what_knows_no_revision(place: Place, way: Callable[[Place, LockedModel], Source]) -> None:
    direct = place.direct.resolve(wanted())
    arrived = place.world.fetch(direct, [way(place, direct), place.direct])
    require_arrived(arrived, place.content)
    model = way(place, direct)
    assert any(note.startswith("tiny: ") and model.name in note for note in place.world.progress.notes)


def test_what_addresses_resolve_to_is_the_hubs_own_file(place: Place) -> None:
    direct = place.direct.resolve(wanted(include=("*.safetensors",)))
    model = addresses(place, direct).resolve(wanted())
    assert model.files == direct.files
    require_arrived(place.world.fetch(model, [addresses(place, direct)]), place.content)


def test_sources_are_tried_in_turn(place: Place) -> None:
    gone = HubSource(Endpoint("http://127.0.0.1:9"), Credentials(), timeout_s=1)
    plain = DirectorySource(place.content, place.root / "cache")
    found = resolve_first([gone, plain, place.direct], wanted())
    assert found.source == place.hub.endpoint
    assert [refusal.where for refusal in found.refusals] == [gone.name, plain.name]
    require_arrived(place.world.fetch(found.model, [gone, place.direct]), place.content)


# -- secrets


def test_the_hubs_token_is_shown_to_no_mirror(place: Place) -> None:
    known = gather({"HF_TOKEN": TOKEN, "HF_TOKEN_PATH": "/nowhere"})
    source = HubSource(Endpoint(place.hub.endpoint), known, timeout_s=20)
    place.world.fetch(source.resolve(wanted()), [source])
    assert place.hub.requests()
    assert {seen.authorization for seen in place.hub.requests()} == {None}


def test_a_mirrors_token_is_shown_to_the_mirror_and_not_to_its_cdn(content: Path, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(OTHERS)
    repo = HubRepo(REPO, content, private=True, readers=frozenset({OTHERS}))
    with Hub([repo], tokens=[OTHERS]) as mirror:
        environ = {"HF_TOKEN": TOKEN, "HF_TOKEN_PATH": "/nowhere"}
        known = gather(environ, endpoint_tokens=[f"{mirror.endpoint}={tmp_path / 'token'}"])
        source = HubSource(Endpoint(mirror.endpoint), known, timeout_s=20)
        require_arrived(World(tmp_path, mirror, PATIENT).fetch(source.resolve(wanted()), [source]), content)
        at_mirror = {seen.authorization for seen in mirror.requests(server="hub")}
        at_cdn = {seen.authorization for seen in mirror.requests(server="cdn")}
    assert at_mirror == {fingerprint(f"Bearer {OTHERS}")}
    assert at_cdn == {None}


@pytest.mark.parametrize("way", ["netrc", "HF_ENDPOINT"])
def test_a_mirror_behind_basic_auth(content: Path, tmp_path: Path, way: str) -> None:
    with Hub([HubRepo(REPO, content)], basic_auth=("ann", "s/cret"), direct=True) as mirror:
        with pytest.raises(DownloadError, match="wants to know who asks") as caught:
            HubSource(Endpoint(mirror.endpoint), Credentials(), timeout_s=20).resolve(wanted())
        assert "netrc" in caught.value.remedy
        environ = {"HF_TOKEN": TOKEN, "HF_TOKEN_PATH": "/nowhere"}
        if way == "netrc":
            (tmp_path / "netrc").write_text("machine 127.0.0.1 login ann password s/cret\n")
            environ |= {"NETRC": str(tmp_path / "netrc"), "HF_ENDPOINT": mirror.endpoint}
        else:
            environ |= {"HF_ENDPOINT": mirror.endpoint.replace("://", "://ann:s%2Fcret@")}
        (endpoint,) = endpoints_of([], environ)
        source = HubSource(endpoint, gather(environ, [endpoint]), timeout_s=20)
        require_arrived(World(tmp_path, mirror, PATIENT).fetch(source.resolve(wanted()), [source]), content)
        assert source.name == mirror.endpoint
        assert len({seen.authorization for seen in mirror.requests()} - {None}) == 1


class _Elsewhere(BaseHTTPRequestHandler):
    """Sends everybody to another server."""

    target = ""

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""

    def do_GET(self) -> None:
        self.send_response(302)
        self.send_header("Location", self.target + self.path)
        self.send_header("Content-Length", "0")
        self.end_headers()


def test_a_token_does_not_follow_a_redirect_of_the_model_data(place: Place, tmp_path: Path) -> None:
    handler: Any = type("Handler", (_Elsewhere,), {"target": place.hub.endpoint})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        (tmp_path / "token").write_text(OTHERS)
        address = f"http://127.0.0.1:{server.server_port}"
        known = gather({"HF_TOKEN_PATH": "/nowhere"}, endpoint_tokens=[f"{address}={tmp_path / 'token'}"])
        HubSource(Endpoint(address), known, timeout_s=20).resolve(wanted())
    finally:
        server.shutdown()
        server.server_close()
    assert {seen.authorization for seen in place.hub.requests()} == {None}


def test_no_secret_stands_on_a_command_line_of_git(
    content: Path, place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A git in front of the real one writes down how it was called."""
    real = git("--exec-path") + "/git"
    shim = tmp_path / "bin" / "git"
    shim.parent.mkdir()
    shim.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >> {tmp_path}/called\nexec {real} "$@"\n')
    shim.chmod(0o755)
    monkeypatch.setenv("PATH", f"{shim.parent}:/usr/bin:/bin")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    (tmp_path / "home" / ".netrc").write_text(f"machine 127.0.0.1 login user password {OTHERS}\n")
    place.hub.add(HubRepo("acme/gated", content, gated=True, readers=frozenset({OTHERS})))
    place.hub.tokens = frozenset({OTHERS})
    source = GitSource(f"{place.hub.endpoint}/git/acme/gated.git", tmp_path / "cache", gather({}), timeout_s=20)
    require_arrived(place.world.fetch(source.resolve(wanted("acme/gated")), [source]), content)
    called = (tmp_path / "called").read_text()
    assert "fetch" in called
    assert OTHERS not in called
    assert TOKEN not in called
    assert {seen.authorization for seen in place.hub.requests(server="cdn")} == {None}
