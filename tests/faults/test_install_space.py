"""Temporary space is that of the largest layer, not of the bundle: shown on disks that have no more than that."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bundler.core.bundle import open_bundle
from bundler.core.kit import TrustPolicy
from testbed.engines import DOCKER_20, DOCKER_28_CONTAINERD, EngineKind, RunningEngine
from tests.bundles import make_bundle
from tests.sites import site_at
from tests.support.waiting import wait_until

MODEL_SIZE = 48 << 20
MODELS = 3


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("medium"), model_size=MODEL_SIZE, more_models=MODELS - 1)


@contextmanager
def least_free(place: Path) -> Iterator[list[int]]:
    """Watches the free bytes of a file system; the least of them stands in the list when the block ends."""
    seen = [_free(place)]
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.02):
            seen[0] = min(seen[0], _free(place))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        ended.set()
        thread.join()


def _free(place: Path) -> int:
    state = os.statvfs(place)
    return state.f_bavail * state.f_frsize


@pytest.mark.parametrize("kind", [DOCKER_20, DOCKER_28_CONTAINERD], ids=lambda kind: kind.name)
def test_final_size_and_the_largest_layer(
    kind: EngineKind, start_engine: Callable[..., RunningEngine], kit: Path, tmp_path: Path
) -> None:
    running = start_engine(kind, size_bytes=640 << 20)
    with site_at(running, tmp_path / "state") as site:
        facts = site.engine.facts()
        layers = {layer.diff_id: layer for image in open_bundle(kit, TrustPolicy()).images for layer in image.layers}
        total = sum(layer.uncompressed_size for layer in layers.values())
        largest = max(layer.uncompressed_size for layer in layers.values())
        filler = running.data_root / "filler"
        free = _free(running.data_root)
        with filler.open("wb") as stream:
            wanted = round(facts.kept_factor * total + 1.1 * largest)
            os.posix_fallocate(stream.fileno(), 0, free - wanted)
        begin = _free(running.data_root)
        with least_free(running.data_root) as least:
            site.install(kit)
        # A store of containerd's drops what nobody needs any more a moment later.
        most = facts.kept_factor * total * 1.02 + (2 << 20)
        wait_until(
            lambda: begin - _free(running.data_root) <= most, lambda: f"{begin - _free(running.data_root)} bytes"
        )
        kept, peak = begin - _free(running.data_root), begin - least[0]
        print(
            f"{kind.name}: {total} bytes of layers, kept {kept / total:.2f}, peak {(peak - kept) / largest:.2f} of the largest"
        )
        assert peak - kept <= 1.1 * largest
        assert site.audit().findings == ()
