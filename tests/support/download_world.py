"""A place to download for real: a Hub that fails on demand, the real sources, downloaders and store, and no waiting.

Time is not waited for between attempts. Sockets wait for real: as long as a busy host may take where something is to
come (`PATIENT`), about a second where nothing is (`HASTY`, `policy_for`).
"""

from __future__ import annotations

import hashlib
import sys
import threading
import time
import traceback
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future, wait
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import pytest
from huggingface_hub import constants, file_download
from huggingface_hub.utils import _http

from bundler.builder.hub.downloader import Downloader
from bundler.builder.hub.downloaders.choose import Chosen
from bundler.builder.hub.fetch import Choice, Fetcher, Snapshot
from bundler.builder.hub.limits import Limits
from bundler.builder.hub.part import Part
from bundler.builder.hub.retry import RetryPolicy
from bundler.builder.hub.source import HttpFile, Source
from bundler.builder.hub.sources.credentials import Credentials, gather
from bundler.builder.hub.sources.endpoints import parse_endpoint
from bundler.builder.hub.sources.hub_source import HubSource
from bundler.builder.hub.store import ModelStore
from bundler.builder.lock import LockedFile, LockedModel
from bundler.builder.recipe_models import ModelSpec
from bundler.core.progress import SilentProgress
from testbed.hub import Hub
from testbed.hub_faults import Kind
from testbed.hub_repo import HubRepo
from tests.support.safetensors_files import safetensors_file
from tests.support.waiting import PATIENCE_S

Result = TypeVar("Result")
#: Variables with authorities, which libraries in processes of their own don't know; the ways differ where one is set.
AUTHORITIES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
REPO = "acme/tiny"
WEIGHTS = "model.safetensors"
#: Three ranges of the ranged downloader, which has none below 4 MiB.
WEIGHTS_SIZE = 9 << 20
PATIENT = RetryPolicy(
    attempts=5, first_delay_s=0.01, longest_delay_s=0.05, deadline_s=600, timeout_s=60, stall=1024, stall_window_s=60
)
#: Where a slow answer of a busy host may count as none.
HASTY = replace(PATIENT, timeout_s=0.8, stall_window_s=0.5)


def policy_for(kinds: Collection[Kind]) -> RetryPolicy:
    """Patient, but for the limit that notices faults of these kinds."""
    silent = not {Kind.STALL, Kind.NO_ANSWER}.isdisjoint(kinds)
    return replace(
        PATIENT,
        timeout_s=1.5 if silent else PATIENT.timeout_s,
        stall_window_s=HASTY.stall_window_s if Kind.SLOW in kinds else PATIENT.stall_window_s,
    )


class NoWaiting:
    """Time as it is, but pauses are over at once; ``slept`` holds them, in seconds."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    def now(self) -> float:
        """Seconds since some moment."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Note the pause."""
        self.slept.append(seconds)

    def chance(self) -> float:
        """The middle."""
        return 0.5


class Listening(SilentProgress):
    """Keeps the notes."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        """Keep it."""
        self.notes.append(text)


def write_content(directory: Path, size: int = WEIGHTS_SIZE, seed: int = 1) -> Path:
    """A repo: one large file in LFS, two small ones out of it."""
    directory.mkdir(parents=True)
    (directory / "config.json").write_text('{"hidden_size": 8}\n')
    (directory / "README.md").write_text("---\nlicense: apache-2.0\n---\n")
    safetensors_file(directory / WEIGHTS, size, seed)
    return directory


@dataclass
class World:
    """A Hub with one repo; ``root`` is the test's own folder."""

    root: Path
    hub: Hub
    policy: RetryPolicy = PATIENT
    clock: NoWaiting = field(default_factory=NoWaiting)
    progress: Listening = field(default_factory=Listening)
    #: Names of the downloaders that had an attempt.
    ways: set[str] = field(default_factory=set)

    @property
    def store(self) -> ModelStore:
        """The cache."""
        return ModelStore(self.root / "cache")

    def source(
        self, hub: Hub | str | None = None, credentials: Credentials | None = None, ca_bundle: Path | None = None
    ) -> HubSource:
        """The Hub, or another server, as the product asks it."""
        address = hub if isinstance(hub, str) else (hub or self.hub).endpoint
        endpoint = parse_endpoint(address, "test")
        return HubSource(endpoint, credentials or Credentials(), ca_bundle, self.policy.timeout_s)

    def credentials(self, token: str) -> Credentials:
        """Those that give ``token`` to this Hub."""
        path = self.root / "token"
        path.write_text(f"{token}\n")
        return gather({"HF_TOKEN_PATH": "/nowhere"}, endpoint_tokens=[f"{self.hub.endpoint}={path}"])

    def fetch(
        self,
        model: LockedModel,
        sources: Sequence[Source],
        way: str = "auto",
        *,
        connections: int = 4,
        ca_bundle: Path | None = None,
    ) -> Snapshot:
        """Everything that ``bundler fetch`` does with one model, in this process."""
        limits = Limits.of(self.policy, connections, clock=self.clock)
        fetcher = Fetcher(self.store, _Noting(Chosen(limits, way, ca_bundle), self.ways), limits, self.progress)
        return in_time(lambda: fetcher.fetch(model, sources), limits.halt.set)

    def require_sound_store(self) -> None:
        """Whatever happened, each file of the cache is what its name says."""
        for path in self.store.objects.rglob("*"):
            if path.is_file():
                assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name


class _Noting:
    """Notes which downloader is chosen."""

    def __init__(self, choice: Choice, ways: set[str]) -> None:
        self._choice, self._ways = choice, ways

    def downloader(self, file: LockedFile, remote: HttpFile, part: Part, attempt: int) -> Downloader:
        """The one for this attempt."""
        chosen = self._choice.downloader(file, remote, part, attempt)
        self._ways.add(chosen.name)
        return chosen


def in_time(action: Callable[[], Result], stop: Callable[[], None], limit_s: float = PATIENCE_S) -> Result:
    """What ``action`` gives or raises; fails with what its threads are at where it takes longer than ``limit_s``."""
    ended: Future[Result] = Future()

    def run() -> None:
        try:
            ended.set_result(action())
        except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
            ended.set_exception(error)

    threading.Thread(target=run, name="the test's download", daemon=True).start()
    if not wait([ended], limit_s).done:
        frames = sys._current_frames()
        stacks = [
            f"{thread.name}:\n{''.join(traceback.format_stack(frames[thread.ident])[-6:])}"
            for thread in threading.enumerate()
            if thread.ident in frames and not thread.name.startswith(("MainThread", "hub (", "silent"))
        ]
        stop()
        raise AssertionError(f"not over after {limit_s:.0f} s:\n" + "\n".join(stacks))
    return ended.result()


def spec(**changes: object) -> ModelSpec:
    """The model as a recipe names it."""
    values: dict[str, object] = {"name": "tiny", "repo": REPO, "path": "/app/models/tiny"}
    return ModelSpec.model_validate({**values, **changes})


def require_arrived(snapshot: Snapshot, content: Path) -> None:
    """Every file of the model is here, byte for byte, and its sha256 is known."""
    assert snapshot.model.files
    for file in snapshot.model.files:
        here = snapshot.path(file).read_bytes()
        assert here == (content / file.path).read_bytes(), file.path
        assert file.sha256 == hashlib.sha256(here).hexdigest()


class _Hurried:
    """The module ``time`` as a library sees it that pauses by itself."""

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)

    def sleep(self, seconds: float) -> None:
        """Do not."""


def hurry_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the Hub's client wait as little as we do, and let no authority of this machine keep hf_transfer away."""
    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", HASTY.timeout_s)
    for library in (file_download, _http):
        monkeypatch.setattr(library, "time", _Hurried())
    for name in AUTHORITIES:
        monkeypatch.delenv(name, raising=False)


@contextmanager
def download_world(root: Path, content: Path, **options: Any) -> Iterator[World]:
    """A world whose Hub has ``content``; ``options`` are the Hub's."""
    with Hub([HubRepo(REPO, content)], **options) as hub:
        yield World(root, hub)
