"""The Hub, a mirror, and what they refuse: each its own sentence. A real server, the real client."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from bundler.builder.hub.retry import TransientError
from bundler.builder.hub.sources.credentials import Credentials
from bundler.builder.hub.sources.endpoints import Endpoint
from bundler.builder.hub.sources.hub_files import next_page
from bundler.builder.hub.sources.hub_source import HubSource
from bundler.builder.recipe_models import ModelSpec
from bundler.core.errors import DownloadError
from testbed.hub import Fault, Hub, HubRepo, Kind
from testbed.ports import free_port

CARD = "---\nlicense: other\nlicense_name: tiny-1\nlicense_link: LICENSE.md\nlibrary_name: tests\n---\n# A card\n"
LICENSE = "Do as you like.\n"
TOKEN = "hf_" + "q" * 30


def write(directory: Path) -> Path:
    directory.mkdir(parents=True)
    (directory / "config.json").write_text('{"hidden_size": 8}\n')
    (directory / "model.safetensors").write_bytes(bytes(range(256)) * 300)
    (directory / "LICENSE.md").write_text(LICENSE)
    (directory / "README.md").write_text(CARD)
    (directory / "licensed.py").write_text("pass\n")
    return directory


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    folder = write(tmp_path_factory.mktemp("hub") / "model")
    repos = [
        HubRepo("acme/tiny", folder, former_names=("acme/small",)),
        HubRepo("acme/gated", folder, gated=True, readers=frozenset({TOKEN})),
        HubRepo("acme/private", folder, private=True, readers=frozenset({TOKEN})),
    ]
    with Hub(repos, tokens=[TOKEN, TOKEN + "2"]) as running:
        yield running


@pytest.fixture(autouse=True)
def calm(hub: Hub) -> Iterator[None]:
    yield
    hub.forget_requests()


def source(hub: Hub, token: str | None = None, timeout_s: float = 20) -> HubSource:
    known = Credentials({hub.endpoint: f"Bearer {token}"}) if token else Credentials()
    return HubSource(Endpoint(hub.endpoint), known, timeout_s=timeout_s)


def wanted(repo: str = "acme/tiny", **more: object) -> ModelSpec:
    return ModelSpec.model_validate({"name": "tiny", "repo": repo, "path": "/m/tiny", **more})


def refusal(hub: Hub, repo: str, token: str | None = None, **more: object) -> str:
    with pytest.raises(DownloadError) as caught:
        source(hub, token).resolve(wanted(repo, **more))
    assert token is None or token not in str(caught.value)
    return str(caught.value)


def test_files_sizes_and_digests_are_the_hubs(hub: Hub) -> None:
    model = source(hub).resolve(wanted(exclude=("README.md", "*.md")))
    weights = next(file for file in model.files if file.path == "model.safetensors")
    assert [file.path for file in model.files] == ["config.json", "licensed.py", "model.safetensors"]
    assert weights.sha256 == hashlib.sha256(bytes(range(256)) * 300).hexdigest()
    assert weights.git_sha1 is None
    assert model.files[0].sha256 is None
    assert model.files[0].git_sha1 is not None
    assert model.commit == hub.commit("acme/tiny")
    assert model.has_safetensors


def test_safetensors_count_whether_they_are_taken_or_not(hub: Hub) -> None:
    assert source(hub).resolve(wanted(include=("*.json",))).has_safetensors


def test_terms_are_kept_in_full_although_they_are_not_taken(hub: Hub) -> None:
    licence = source(hub).resolve(wanted(include=("*.json",))).license
    assert [(text.path, text.text) for text in licence.texts] == [("LICENSE.md", LICENSE)]
    assert licence.texts[0].sha256 == hashlib.sha256(LICENSE.encode()).hexdigest()
    assert licence.id == "other"
    assert not licence.gated
    assert licence.accepted is None


def test_a_renamed_repo_keeps_both_names(hub: Hub) -> None:
    model = source(hub).resolve(wanted("acme/small"))
    assert (model.repo_id, model.canonical_id) == ("acme/small", "acme/tiny")


def test_an_address_names_the_commit_and_hides_its_headers(hub: Hub) -> None:
    hubs = source(hub, TOKEN)
    model = hubs.resolve(wanted())
    found = hubs.locate(model, model.files[0])
    assert found.url == f"{hub.endpoint}/acme/tiny/resolve/{model.commit}/LICENSE.md"
    assert found.headers["Authorization"] == f"Bearer {TOKEN}"
    assert TOKEN not in repr(found) + repr(hubs) + repr(vars(hubs))


def test_each_refusal_has_its_sentence(hub: Hub) -> None:
    assert "there is no such repo" in refusal(hub, "acme/absent")
    assert "no revision 'v9'" in refusal(hub, "acme/tiny", revision="v9")
    assert "accept its terms" in refusal(hub, "acme/gated")
    assert "was not given access" in refusal(hub, "acme/gated", TOKEN + "2")
    assert "does not accept the token" in refusal(hub, "acme/tiny", "hf_wrong")
    assert "or the token may not see it" in refusal(hub, "acme/private", TOKEN + "2")
    assert "no file of the repo" in refusal(hub, "acme/tiny", include=("*.gguf",))
    assert f"--endpoint-token {hub.endpoint}=FILE" in refusal(hub, "acme/private")


def test_who_may_read_it_resolves_a_gated_repo(hub: Hub) -> None:
    assert source(hub, TOKEN).resolve(wanted("acme/gated")).license.gated


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_what_may_pass(tmp_path: Path, status: int) -> None:
    fault = Fault("/api/models/*", Kind.STATUS, status=status, retry_after_s=7)
    hub = Hub([HubRepo("acme/tiny", write(tmp_path / "m"))], faults=[fault])
    with hub, pytest.raises(TransientError, match=f"HTTP {status}") as caught:
        source(hub).resolve(wanted())
    assert caught.value.retry_after_s == 7


@pytest.mark.parametrize(
    ("kind", "told"), [(Kind.RESET, "connection to 127.0.0.1"), (Kind.STALL, "in time"), (Kind.HTML, "a web page came")]
)
def test_a_line_that_breaks(tmp_path: Path, kind: Kind, told: str) -> None:
    hub = Hub([HubRepo("acme/tiny", write(tmp_path / "m"))], faults=[Fault("/api/models/*", kind)])
    with hub, pytest.raises(TransientError, match=told):
        source(hub, timeout_s=1 if kind is Kind.STALL else 20).resolve(wanted())


def test_a_mirror_that_forgets_sizes_is_asked_for_its_tree(
    tmp_path: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    direct = source(hub).resolve(wanted())
    monkeypatch.setattr("bundler.builder.hub.sources.hub_source.told_in", lambda info: None)
    with Hub([HubRepo("acme/tiny", write(tmp_path / "m"))], page_size=2) as forgetful:
        assert source(forgetful).resolve(wanted()) == direct
        assert len(forgetful.requests("/tree/")) > 2


def test_a_listing_does_not_go_on_at_another_server() -> None:
    page = httpx2.Response(200, headers={"Link": '<https://evil.example/api?cursor=2>; rel="next"'})
    with pytest.raises(ValueError, match="another server"):
        next_page(page, "https://m.example/api")
    assert next_page(httpx2.Response(200), "https://m.example/api") is None


def test_a_server_that_answers_with_another_commit_is_not_believed(hub: Hub) -> None:
    moved = Hub([HubRepo("acme/tiny", hub.repo("acme/tiny").directory)])  # type: ignore[union-attr]
    moved._refs["acme/tiny", "0" * 40] = moved._refs["acme/tiny", "main"]
    with moved, pytest.raises(DownloadError, match="another commit"):
        source(moved).resolve(wanted(revision="0" * 40))


def test_nobody_there_and_no_such_name() -> None:
    for url, told in ((f"http://127.0.0.1:{free_port()}", "no connection to"), ("http://hub.invalid", "is not found")):
        with pytest.raises(TransientError, match=told):
            HubSource(Endpoint(url), Credentials(), timeout_s=2).resolve(wanted())
