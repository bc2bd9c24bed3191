"""A place to download for real: a Hub that fails on demand, the real sources, downloaders and store, and no waiting.

Time is not waited for between attempts; sockets wait for real, for the second that `HASTY` gives them.
"""

from __future__ import annotations

import hashlib
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from bundler.builder.hub.choose import Chosen
from bundler.builder.hub.credentials import Credentials, gather
from bundler.builder.hub.endpoints import parse_endpoint
from bundler.builder.hub.fetch import Fetcher, Snapshot
from bundler.builder.hub.hub_source import HubSource
from bundler.builder.hub.limits import Limits
from bundler.builder.hub.retry import RetryPolicy
from bundler.builder.hub.source import Source
from bundler.builder.hub.store import ModelStore
from bundler.builder.lock import LockedModel
from bundler.builder.recipe_models import ModelSpec
from bundler.core.progress import SilentProgress
from testbed.hub import Hub
from testbed.hub_repo import HubRepo
from tests.support.safetensors_files import safetensors_file

Result = TypeVar("Result")
#: For one model over loopback, whatever goes wrong with it.
PATIENCE_S = 40.0
REPO = "acme/tiny"
WEIGHTS = "model.safetensors"
#: Three ranges of the ranged downloader, which has none below 4 MiB.
WEIGHTS_SIZE = 9 << 20
HASTY = RetryPolicy(
    attempts=5, first_delay_s=0.01, longest_delay_s=0.05, deadline_s=600, timeout_s=0.8, stall=1024, stall_window_s=0.5
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
    policy: RetryPolicy = HASTY
    clock: NoWaiting = field(default_factory=NoWaiting)
    progress: Listening = field(default_factory=Listening)

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
        fetcher = Fetcher(self.store, Chosen(limits, way, ca_bundle), limits, self.progress)
        return in_time(lambda: fetcher.fetch(model, sources), limits.halt.set)

    def require_sound_store(self) -> None:
        """Whatever happened, each file of the cache is what its name says."""
        for path in self.store.objects.rglob("*"):
            if path.is_file():
                assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name


def in_time(action: Callable[[], Result], stop: Callable[[], None], limit_s: float = PATIENCE_S) -> Result:
    """What ``action`` gives or raises; fails with what its threads are at where it takes longer than ``limit_s``."""
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(action)
        try:
            return running.result(limit_s)
        except FutureTimeoutError:
            if running.done():
                raise
            stacks = [
                f"{thread.name}:\n{''.join(traceback.format_stack(frame)[-6:])}"
                for thread in threading.enumerate()
                if (frame := sys._current_frames().get(thread.ident or 0))
            ]
            stop()
            raise AssertionError(f"not over after {limit_s:.0f} s:\n" + "\n".join(stacks)) from None


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


@contextmanager
def download_world(root: Path, content: Path, **options: Any) -> Iterator[World]:
    """A world whose Hub has ``content``; ``options`` are the Hub's."""
    with Hub([HubRepo(REPO, content)], **options) as hub:
        yield World(root, hub)
