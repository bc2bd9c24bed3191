"""The Hub as a git server: the real git clones it, and the LFS batch API gives addresses that expire."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from testbed.hub import Hub, HubRepo
from testbed.hub_repo import lfs_pointer

REPO = "org/small"
WEIGHTS = bytes(range(256)) * 64


@pytest.fixture
def content(tmp_path: Path) -> Path:
    folder = tmp_path / "content"
    (folder / "1_Pooling").mkdir(parents=True)
    (folder / "config.json").write_text('{"hidden_size": 4}\n')
    (folder / "1_Pooling" / 'é "b".json').write_text("{}\n")
    (folder / "model.safetensors").write_bytes(WEIGHTS)
    (folder / ".gitattributes").write_text("*.safetensors filter=lfs diff=lfs merge=lfs -text\n")
    return folder


@pytest.fixture
def hub(content: Path) -> Iterator[Hub]:
    gated = HubRepo("org/gated", content, gated=True, readers=frozenset({"hf_reader"}))
    repos = [HubRepo(REPO, content, branches={"refs/pr/1": content / "1_Pooling"}), gated]
    with Hub(repos, tokens=["hf_reader", "hf_other"], link_ttl_s=60) as running:
        yield running


def git(*arguments: object) -> str:
    environment = {"PATH": "/usr/bin:/bin", "GIT_TERMINAL_PROMPT": "0", "GIT_LFS_SKIP_SMUDGE": "1", "HOME": "/nowhere"}
    done = subprocess.run(["git", *map(str, arguments)], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def batch(hub: Hub, repo: str, oid: str, token: str = "") -> dict[str, Any]:
    asked = {"operation": "download", "transfers": ["basic"], "objects": [{"oid": oid, "size": len(WEIGHTS)}]}
    headers = {
        "Content-Type": "application/vnd.git-lfs+json",
        **({"Authorization": f"Bearer {token}"} if token else {}),
    }
    url = f"{hub.endpoint}/git/{repo}.git/info/lfs/objects/batch"
    with urllib.request.urlopen(urllib.request.Request(url, json.dumps(asked).encode(), headers)) as answer:
        return dict(json.load(answer))


def weights(hub: Hub, repo: str = REPO) -> str:
    snapshot = hub.snapshot(repo, "main")
    assert snapshot is not None
    return str(snapshot.files["model.safetensors"].sha256)


@pytest.mark.parametrize("form", ["{}/git/{}.git", "{}/{}"])
def test_a_clone_has_the_hubs_own_commits(hub: Hub, content: Path, tmp_path: Path, form: str) -> None:
    clone = tmp_path / "clone"
    git("clone", "--quiet", form.format(hub.endpoint, REPO), clone)
    assert git("-C", clone, "rev-parse", "HEAD") == hub.commit(REPO)
    assert (clone / "1_Pooling" / 'é "b".json').read_text() == "{}\n"
    assert (clone / "model.safetensors").read_bytes() == lfs_pointer(weights(hub), len(WEIGHTS))
    git("-C", clone, "fetch", "--quiet", "origin", "refs/pr/1")
    assert git("-C", clone, "rev-parse", "FETCH_HEAD") == hub.commit(REPO, "refs/pr/1")


def test_a_former_commit_can_be_fetched_by_its_id(hub: Hub, content: Path, tmp_path: Path) -> None:
    first = hub.commit(REPO)
    moved = shutil.copytree(content, tmp_path / "moved")
    (moved / "config.json").write_text("{}\n")
    assert hub.push(REPO, moved) != first
    git("init", "--quiet", tmp_path / "new")
    git("-C", tmp_path / "new", "fetch", "--quiet", "--depth=1", f"{hub.endpoint}/git/{REPO}.git", first)
    assert git("-C", tmp_path / "new", "rev-parse", "FETCH_HEAD") == first


def test_the_batch_api_gives_signed_addresses(hub: Hub) -> None:
    (told,) = batch(hub, REPO, weights(hub))["objects"]
    with urllib.request.urlopen(told["actions"]["download"]["href"]) as answer:
        assert answer.read() == WEIGHTS
    assert "expires_at" in told["actions"]["download"]
    deadline = time.monotonic() + 10
    while hub.requests(server="cdn")[0].sent != len(WEIGHTS):  # counted once it is sent, which we may see before
        assert time.monotonic() < deadline
        time.sleep(0.01)
    (unknown,) = batch(hub, REPO, "0" * 64)["objects"]
    assert unknown["error"]["code"] == 404


def test_a_gated_repo_asks_who_it_is(hub: Hub, tmp_path: Path) -> None:
    for token, status in (("", 401), ("hf_other", 403), ("hf_forged", 401)):
        with pytest.raises(urllib.error.HTTPError) as refused:
            batch(hub, "org/gated", weights(hub), token)
        assert refused.value.code == status
        assert ("WWW-Authenticate" in refused.value.headers) == (status == 401)
    assert batch(hub, "org/gated", weights(hub), "hf_reader")["objects"][0]["actions"]
    address = hub.endpoint.replace("://", "://user:hf_reader@")
    git("clone", "--quiet", f"{address}/git/org/gated.git", tmp_path / "clone")
