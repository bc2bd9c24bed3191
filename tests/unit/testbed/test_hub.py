"""The real huggingface_hub client, and plain HTTP, against the Hub of the test bed, over real sockets."""

from __future__ import annotations

import hashlib
import http.client
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from huggingface_hub import HfApi, constants, hf_hub_download, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from testbed.hub import Fault, Hub, HubRepo, Kind
from testbed.hub_repo import Snapshot, git_id

REPO = "org/small"
WEIGHTS = bytes(range(256)) * 1024
LFS = "/lfs/*/model.safetensors"


@pytest.fixture
def content(tmp_path: Path) -> Path:
    folder = tmp_path / "content"
    (folder / "1_Pooling" / "deep").mkdir(parents=True)
    (folder / "README.md").write_text("---\nlanguage: en\nlicense: apache-2.0\ntags:\n- x\n---\n# Small\n")
    (folder / "config.json").write_text('{"hidden_size": 4}\n')
    (folder / "1_Pooling" / "config.json").write_text("{}\n")
    (folder / "1_Pooling" / "deep" / "é b.txt").write_text("name with a space\n")
    (folder / "1_Pooling.txt").write_text("sorts before the folder in git\n")
    (folder / "model.safetensors").write_bytes(WEIGHTS)
    return folder


@pytest.fixture
def hub(content: Path) -> Iterator[Hub]:
    with Hub([HubRepo(REPO, content, former_names=("old/small",))]) as running:
        yield running


@pytest.fixture
def api(hub: Hub) -> HfApi:
    return HfApi(endpoint=hub.endpoint, token=False)


def fetch(hub: Hub, cache: Path, name: str = "model.safetensors", **options: Any) -> Path:
    return Path(hf_hub_download(REPO, name, endpoint=hub.endpoint, cache_dir=cache, token=False, **options))


def get(url: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
    try:
        connection.request(method, parts._replace(scheme="", netloc="").geturl(), headers=headers)
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def cdn_url(hub: Hub) -> str:
    return get(f"{hub.endpoint}/{REPO}/resolve/main/model.safetensors", "HEAD")[1]["location"]


def git(*arguments: str, cwd: Path) -> str:
    return subprocess.run(["git", *arguments], cwd=cwd, check=True, capture_output=True, text=True).stdout.strip()


# -- ids


def test_ids_are_those_that_git_computes(content: Path, tmp_path: Path) -> None:
    """Blobs, the LFS pointer and every tree, against git itself."""
    work = tmp_path / "work"
    snapshot = Snapshot.of(content)
    for name, file in snapshot.files.items():
        path = work / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{file.sha256}\nsize {file.size}\n"
        path.write_bytes(pointer.encode() if file.sha256 else file.source.read_bytes())
    git("init", "-q", cwd=work)
    git("add", "-A", cwd=work)
    assert git("write-tree", cwd=work) == snapshot.folders[""]
    assert git("rev-parse", f"{snapshot.folders['']}:1_Pooling", cwd=work) == snapshot.folders["1_Pooling"]
    assert git("hash-object", "model.safetensors", cwd=work) == snapshot.files["model.safetensors"].blob_id
    assert snapshot.files["model.safetensors"].pointer_size == (work / "model.safetensors").stat().st_size


def test_commit_follows_the_content_alone(content: Path, hub: Hub) -> None:
    first = hub.commit(REPO)
    assert Snapshot.of(content).commit == first
    (content / "config.json").write_text("{}\n")
    second = hub.push(REPO, content)
    assert second != first
    assert hub.commit(REPO) == second
    assert hub.snapshot(REPO, first) is not None


# -- the real client


def test_model_info(api: HfApi, hub: Hub) -> None:
    info = api.model_info(REPO, files_metadata=True)
    assert (info.id, info.sha, info.gated) == (REPO, hub.commit(REPO), False)
    assert info.card_data is not None
    assert info.card_data["license"] == "apache-2.0"
    files = {sibling.rfilename: sibling for sibling in info.siblings or []}
    lfs = files["model.safetensors"].lfs
    assert lfs is not None
    assert (lfs.sha256, lfs.size) == (hashlib.sha256(WEIGHTS).hexdigest(), len(WEIGHTS))
    assert files["config.json"].lfs is None
    assert files["config.json"].blob_id == git_id("blob", b'{"hidden_size": 4}\n')


def test_model_info_of_a_commit_and_of_a_branch_with_a_slash(content: Path) -> None:
    with Hub([HubRepo(REPO, content, branches={"refs/pr/1": content / "1_Pooling"})]) as hub:
        api = HfApi(endpoint=hub.endpoint, token=False)
        assert api.model_info(REPO, revision=hub.commit(REPO)).sha == hub.commit(REPO)
        other = api.model_info(REPO, revision="refs/pr/1")
        assert other.sha == hub.commit(REPO, "refs/pr/1") != hub.commit(REPO)
        assert [sibling.rfilename for sibling in other.siblings or []] == ["config.json", "deep/é b.txt"]


@pytest.mark.parametrize("page_size", [1, 3, 1000])
def test_tree_page_by_page(content: Path, page_size: int) -> None:
    with Hub([HubRepo(REPO, content)], page_size=page_size) as hub:
        api = HfApi(endpoint=hub.endpoint, token=False)
        paths = [entry.path for entry in api.list_repo_tree(REPO, recursive=True, expand=True)]
        assert paths == sorted(paths)
        assert {"1_Pooling", "1_Pooling/deep/é b.txt", "model.safetensors"} <= set(paths)
        assert len(hub.requests("/tree/")) == -(-8 // page_size)
        assert [entry.path for entry in api.list_repo_tree(REPO, "1_Pooling")] == [
            "1_Pooling/config.json",
            "1_Pooling/deep",
        ]


def test_paths_info(api: HfApi) -> None:
    found = api.get_paths_info(REPO, ["config.json", "1_Pooling", "nowhere"], expand=True)
    assert [entry.path for entry in found] == ["config.json", "1_Pooling"]
    assert found[0].last_commit is not None


def test_snapshot_download_brings_every_byte(api: HfApi, content: Path, tmp_path: Path) -> None:
    folder = Path(snapshot_download(REPO, endpoint=api.endpoint, cache_dir=tmp_path / "cache", token=False))
    sources = {path.relative_to(content): path.read_bytes() for path in content.rglob("*") if path.is_file()}
    assert {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()} == sources
    verification = api.verify_repo_checksums(REPO, cache_dir=tmp_path / "cache")
    assert not verification.mismatches
    assert verification.checked_count == len(sources)


def test_large_files_come_from_the_cdn_without_the_token(content: Path, tmp_path: Path) -> None:
    with Hub([HubRepo(REPO, content)], tokens=["hf_valid"]) as hub:
        hf_hub_download(REPO, "model.safetensors", endpoint=hub.endpoint, cache_dir=tmp_path, token="hf_valid")
        (from_cdn,) = hub.requests(server="cdn")
        assert (from_cdn.method, from_cdn.status, from_cdn.sent) == ("GET", 200, len(WEIGHTS))
        assert all(seen.authorized for seen in hub.requests("/resolve/"))
        assert [seen.sent for seen in hub.requests("/resolve/")] == [0]


def test_a_renamed_repository_redirects(hub: Hub, tmp_path: Path) -> None:
    assert HfApi(endpoint=hub.endpoint, token=False).model_info("old/small").id == REPO
    path = hf_hub_download("old/small", "config.json", endpoint=hub.endpoint, cache_dir=tmp_path, token=False)
    assert Path(path).read_text() == '{"hidden_size": 4}\n'


def test_what_is_not_there(api: HfApi, hub: Hub, tmp_path: Path) -> None:
    with pytest.raises(RepositoryNotFoundError):
        api.model_info("org/nowhere")
    with pytest.raises(RevisionNotFoundError):
        api.model_info(REPO, revision="nowhere")
    with pytest.raises(RemoteEntryNotFoundError):
        fetch(hub, tmp_path, "nowhere.json")


def test_gated_and_private_open_to_their_readers(content: Path, tmp_path: Path) -> None:
    readers = frozenset({"hf_reader"})
    repos = [
        HubRepo("org/gated", content, gated=True, readers=readers),
        HubRepo("org/private", content, private=True, readers=readers),
    ]
    with Hub(repos, tokens=["hf_reader", "hf_other"]) as hub:
        for token in (False, "hf_other"):
            api = HfApi(endpoint=hub.endpoint, token=token)
            assert api.model_info("org/gated").gated == "manual"
            with pytest.raises(GatedRepoError):
                api.hf_hub_download("org/gated", "config.json", cache_dir=tmp_path / "refused")
            with pytest.raises(RepositoryNotFoundError):
                api.model_info("org/private")
        statuses = [seen.status for seen in hub.requests("/org/gated/resolve")]
        assert statuses == [401, 403]
        api = HfApi(endpoint=hub.endpoint, token="hf_reader")
        assert api.model_info("org/private").private
        api.hf_hub_download("org/gated", "model.safetensors", cache_dir=tmp_path / "granted")
        with pytest.raises(HfHubHTTPError, match="Invalid credentials"):
            HfApi(endpoint=hub.endpoint, token="hf_forged").model_info("org/gated")


# -- ranges and headers, as plain HTTP


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [("bytes=0-0", 0, 1), ("bytes=10-", 10, None), ("bytes=-5", -5, None), ("bytes=262140-999999", 262140, None)],
)
def test_ranges(hub: Hub, asked: str, start: int, end: int | None) -> None:
    status, headers, body = get(cdn_url(hub), Range=asked)
    expected = WEIGHTS[start:end]
    first = start % len(WEIGHTS)
    assert (status, body) == (206, expected)
    assert headers["content-range"] == f"bytes {first}-{first + len(expected) - 1}/{len(WEIGHTS)}"


def test_a_range_beyond_the_end_and_a_stale_if_range(hub: Hub) -> None:
    url = cdn_url(hub)
    status, headers, _ = get(url, Range=f"bytes={len(WEIGHTS)}-")
    assert (status, headers["content-range"]) == (416, f"bytes */{len(WEIGHTS)}")
    assert get(url, **{"Range": "bytes=5-9", "If-Range": '"another"'})[0] == 200


def test_headers_of_resolve(hub: Hub) -> None:
    sha256 = hashlib.sha256(WEIGHTS).hexdigest()
    status, headers, body = get(f"{hub.endpoint}/{REPO}/resolve/main/model.safetensors", "HEAD")
    assert (status, body) == (302, b"")
    assert headers["x-linked-etag"] == f'"{sha256}"'
    assert headers["x-linked-size"] == str(len(WEIGHTS))
    assert headers["x-repo-commit"] == hub.commit(REPO)
    assert headers["accept-ranges"] == "bytes"


def test_addresses_are_signed_and_expire(content: Path) -> None:
    with Hub([HubRepo(REPO, content)]) as hub:
        url = cdn_url(hub)
        assert get(url)[0] == 200
        assert get(url.replace("Signature=", "Signature=0"))[0] == 403
        assert get(url.replace("Expires=", "Expires=9"))[0] == 403
        hub.link_ttl_s = 0.1
        short = cdn_url(hub)
        time.sleep(0.15)
        assert get(short)[0] == 403


# -- faults, planned


def test_a_status_strikes_as_often_as_planned(hub: Hub) -> None:
    url = f"{hub.endpoint}/{REPO}/resolve/main/config.json"
    hub.faults.add(Fault("*/config.json", Kind.STATUS, times=2, skip=1, status=429, retry_after_s=7))
    answers = [get(url) for _ in range(4)]
    assert [status for status, _, _ in answers] == [200, 429, 429, 200]
    assert answers[1][1]["retry-after"] == "7"


def test_503_on_the_file_itself_ends_the_clients_download(hub: Hub, tmp_path: Path) -> None:
    hub.faults.add(Fault(LFS, Kind.STATUS, status=503))
    with pytest.raises(HfHubHTTPError):
        fetch(hub, tmp_path)
    assert fetch(hub, tmp_path).read_bytes() == WEIGHTS


def test_a_cut_body_is_resumed_by_the_client(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 500)  # it keeps whole chunks only, of 10 MB otherwise
    hub.faults.add(Fault(LFS, Kind.CUT, after=1000))
    assert fetch(hub, tmp_path).read_bytes() == WEIGHTS
    first, second = hub.requests(server="cdn")
    assert (first.range, first.sent, second.range) == (None, 1000, "bytes=1000-")
    assert second.sent == len(WEIGHTS) - 1000


@pytest.mark.parametrize("after", [0, 1000])
def test_a_reset(hub: Hub, after: int) -> None:
    url = cdn_url(hub)
    hub.faults.add(Fault(LFS, Kind.RESET, after=after))
    with pytest.raises(ConnectionResetError):
        get(url)
    assert get(url)[2] == WEIGHTS


def test_a_stall_in_the_body_and_before_it(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 2)
    hub.faults.add(Fault(LFS, Kind.STALL, after=500), Fault(LFS, Kind.STALL))
    assert fetch(hub, tmp_path).read_bytes() == WEIGHTS
    assert sum(seen.sent for seen in hub.requests(server="cdn")[-1:]) in (len(WEIGHTS), len(WEIGHTS) - 500)


def test_a_stall_ends_and_the_rest_comes(hub: Hub) -> None:
    url = cdn_url(hub)
    hub.faults.add(Fault(LFS, Kind.STALL, after=500, stall_s=0.2))
    begun = time.monotonic()
    assert get(url, Range="bytes=100-2000")[2] == WEIGHTS[100:2001]
    assert time.monotonic() - begun >= 0.2


def test_wrong_bytes_of_the_right_size_pass_the_client(hub: Hub, tmp_path: Path) -> None:
    """Why bundler compares digests itself: the client looks at the size only."""
    hub.faults.add(Fault(LFS, Kind.WRONG_BYTES, after=200_000))
    body = fetch(hub, tmp_path).read_bytes()
    assert len(body) == len(WEIGHTS)
    assert [place for place, (a, b) in enumerate(zip(body, WEIGHTS)) if a != b] == [200_000]


def test_wrong_length(hub: Hub, tmp_path: Path) -> None:
    hub.faults.add(Fault(LFS, Kind.WRONG_LENGTH))
    with pytest.raises(OSError, match="Consistency check failed"):
        fetch(hub, tmp_path)


def test_a_captive_portal(hub: Hub, tmp_path: Path) -> None:
    hub.faults.add(Fault("*", Kind.HTML, times=None))
    status, headers, body = get(f"{hub.endpoint}/{REPO}/resolve/main/config.json")
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert body.startswith(b"<!DOCTYPE html>")
    with pytest.raises(LocalEntryNotFoundError):
        fetch(hub, tmp_path)


def test_ranges_ignored(hub: Hub) -> None:
    url = cdn_url(hub)
    hub.faults.add(Fault(LFS, Kind.NO_RANGES))
    status, headers, body = get(url, Range="bytes=1000-")
    assert (status, body) == (200, WEIGHTS)
    assert "content-range" not in headers


def test_the_etag_changes(hub: Hub) -> None:
    url = f"{hub.endpoint}/{REPO}/resolve/main/config.json"
    hub.faults.add(Fault("*/config.json", Kind.NEW_ETAG, skip=1))
    first, second, third = (get(url, "HEAD")[1]["etag"] for _ in range(3))
    assert first == third != second


def test_an_expired_signature(hub: Hub, tmp_path: Path) -> None:
    hub.faults.add(Fault("*model.safetensors", Kind.EXPIRED))
    with pytest.raises(HfHubHTTPError, match="403"):
        fetch(hub, tmp_path)
    assert fetch(hub, tmp_path).read_bytes() == WEIGHTS


def test_a_slow_line(hub: Hub) -> None:
    url = cdn_url(hub)
    hub.faults.add(Fault(LFS, Kind.SLOW, bytes_per_s=100_000))
    begun = time.monotonic()
    assert get(url, Range="bytes=0-29999")[2] == WEIGHTS[:30_000]
    assert time.monotonic() - begun >= 0.2  # the last piece comes without a wait


# -- the end


def test_closing_ends_what_stalls_and_every_open_connection(content: Path) -> None:
    hub = Hub([HubRepo(REPO, content)]).__enter__()
    parts = urlsplit(hub.endpoint)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
    connection.request("GET", f"/api/models/{REPO}")
    connection.getresponse().read()
    begun = time.monotonic()
    hub.close()
    assert time.monotonic() - begun < 15, "a stall takes 30 s"
    with pytest.raises((ConnectionError, http.client.HTTPException)):
        connection.request("GET", f"/api/models/{REPO}")
        connection.getresponse()
    connection.close()
    with pytest.raises(ConnectionRefusedError):
        get(hub.endpoint)


def test_from_a_shell(content: Path) -> None:
    scripts = Path(__file__).parents[3] / "scripts"
    command = [sys.executable, "-m", "testbed.hub", "--repo", f"{REPO}={content}", "--port", "0"]
    with subprocess.Popen(command, cwd=scripts, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        endpoint = process.stdout.readline().strip()
        info = HfApi(endpoint=endpoint, token=False).model_info(REPO)
        process.terminate()
        assert process.wait(timeout=60) == 0
    assert info.sha == Snapshot.of(content).commit
