"""Downloads through the real client, over a real socket, from the Hub of the test bed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from bundler.builder.hub.snapshot import Fetcher

from bundler.builder.hub.retry import RetryPolicy
from bundler.builder.hub.source import HubSource
from bundler.builder.recipe_models import ModelSpec
from bundler.core.errors import DownloadError
from bundler.core.progress import SilentProgress
from testbed.hub import Hub
from testbed.hub_faults import Fault, Kind
from testbed.hub_repo import HubRepo
from tests.support.safetensors_files import safetensors_file

REPO = "acme/tiny"
QUICK = RetryPolicy(first_delay_s=0, jitter=0, stall_s=5)


@pytest.fixture
def content(tmp_path: Path) -> Path:
    directory = tmp_path / "repo"
    (directory / "1_Pooling").mkdir(parents=True)
    (directory / "config.json").write_text('{"hidden_size": 8}\n')
    (directory / "1_Pooling" / "config.json").write_text("{}\n")
    safetensors_file(directory / "model.safetensors", 1 << 20)
    (directory / "README.md").write_text("---\nlicense: apache-2.0\n---\n")
    (directory / ".gitattributes").write_text("*.safetensors filter=lfs diff=lfs merge=lfs -text\n")
    return directory


@pytest.fixture
def hub(content: Path) -> Iterator[Hub]:
    with Hub([HubRepo(REPO, content)]) as server:
        yield server


def wanted(**changes: object) -> ModelSpec:
    values = {
        "name": "tiny",
        "repo": REPO,
        "path": "/app/models/tiny",
        "include": ("*.json", "*.safetensors", "1_Pooling/*"),
    }
    return ModelSpec.model_validate({**values, **changes})


def fetcher(hub: Hub, cache: Path, policy: RetryPolicy = QUICK) -> Fetcher:
    return Fetcher(HubSource(hub.endpoint), cache, policy, SilentProgress())


def test_resolving_reads_everything_from_the_answer(hub: Hub, content: Path) -> None:
    model = HubSource(hub.endpoint).resolve(wanted())
    assert model.commit == hub.commit(REPO)
    assert [file.path for file in model.files] == ["1_Pooling/config.json", "config.json", "model.safetensors"]
    weights = model.files[2]
    assert weights.size == (content / "model.safetensors").stat().st_size
    assert weights.sha256 == hashlib.sha256((content / "model.safetensors").read_bytes()).hexdigest()
    assert model.files[1].sha256 is None
    assert model.files[1].git_sha1


def test_a_snapshot_is_fetched_once_and_knows_every_sha256(hub: Hub, content: Path, tmp_path: Path) -> None:
    model = HubSource(hub.endpoint).resolve(wanted())
    bringer = fetcher(hub, tmp_path / "cache")
    assert bringer.missing_size(model) == model.size
    snapshot = bringer.fetch(model)
    for file in snapshot.model.files:
        assert snapshot.path(file).read_bytes() == (content / file.path).read_bytes()
        assert file.sha256 == hashlib.sha256((content / file.path).read_bytes()).hexdigest()
    assert bringer.missing_size(model) == 0
    hub.forget_requests()
    assert bringer.fetch(model) == snapshot
    assert hub.requests() == []


@pytest.mark.parametrize("kind", [Kind.STATUS, Kind.RESET, Kind.CUT, Kind.WRONG_BYTES])
def test_what_fails_twice_arrives_at_the_third_attempt(hub: Hub, tmp_path: Path, kind: Kind) -> None:
    model = HubSource(hub.endpoint).resolve(wanted())
    hub.faults.add(Fault("/lfs/*model.safetensors", kind, times=2, after=1000))
    snapshot = fetcher(hub, tmp_path / "cache").fetch(model)
    assert snapshot.path(snapshot.model.files[2]).stat().st_size == 1 << 20


def test_three_failures_are_an_error_that_names_model_file_and_tries(hub: Hub, tmp_path: Path) -> None:
    model = HubSource(hub.endpoint).resolve(wanted())
    hub.faults.add(Fault("/lfs/*model.safetensors", Kind.STATUS, times=None))
    with pytest.raises(DownloadError, match=r"model tiny: model\.safetensors did not arrive in 3 attempts .*503"):
        fetcher(hub, tmp_path / "cache").fetch(model)
    kept = sorted(path.name for path in (tmp_path / "cache" / "snapshots").rglob("*") if path.is_file())
    assert kept == ["config.json", "config.json"], "finished files are kept, nothing else is"


def test_a_small_file_that_was_altered_in_the_cache_is_fetched_again(hub: Hub, tmp_path: Path) -> None:
    model = HubSource(hub.endpoint).resolve(wanted())
    bringer = fetcher(hub, tmp_path / "cache")
    snapshot = bringer.fetch(model)
    path = snapshot.path(model.files[1])
    good = path.read_bytes()
    path.write_bytes(good.replace(b"8", b"9"))
    assert bringer.fetch(model) == snapshot
    assert path.read_bytes() == good


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"repo": "acme/unknown"}, "no such repo"),
        ({"revision": "nowhere"}, "no such revision"),
        ({"include": ("*.onnx",)}, "no file of the repo matches"),
    ],
)
def test_what_cannot_be_resolved_says_why(hub: Hub, changes: dict[str, object], sentence: str) -> None:
    with pytest.raises(DownloadError, match=sentence):
        HubSource(hub.endpoint).resolve(wanted(**changes))


def test_large_files_come_by_hf_transfer_and_fall_back_to_one_connection(
    hub: Hub, content: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bundler.builder.hub.snapshot.WORTHWHILE_SIZE", 1 << 16)
    model = HubSource(hub.endpoint).resolve(wanted())
    fetcher(hub, tmp_path / "first").fetch(model)
    ranged = [seen for seen in hub.requests("/lfs/") if seen.range]
    assert ranged, "hf_transfer asks for ranges"

    hub.forget_requests()
    hub.faults.add(
        Fault("/lfs/*model.safetensors", Kind.WRONG_BYTES, skip=1, times=1, after=5000)
    )  # the first request only asks for the size
    snapshot = fetcher(hub, tmp_path / "second").fetch(model)
    assert snapshot.path(snapshot.model.files[2]).read_bytes() == (content / "model.safetensors").read_bytes()
    assert [seen for seen in hub.requests("/lfs/") if not seen.range], "the second attempt is an ordinary one"


def test_a_token_goes_to_the_hub_alone_and_none_is_needed(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = HubSource(hub.endpoint).resolve(wanted())
    monkeypatch.setenv("HF_HUB_DISABLE_IMPLICIT_TOKEN", "")
    monkeypatch.setenv("HF_TOKEN_PATH", str(tmp_path / "none"))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    assert "authorization" not in HubSource().address(model, model.files[0]).headers
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    assert HubSource().address(model, model.files[0]).headers["authorization"] == "Bearer hf_secret"
    assert HubSource().address(model, model.files[0]).url.startswith("https://huggingface.co/acme/tiny/resolve/")

    fetcher(hub, tmp_path / "cache").fetch(HubSource(hub.endpoint).resolve(wanted()))
    assert hub.requests()
    assert not any(seen.authorized for seen in hub.requests())
