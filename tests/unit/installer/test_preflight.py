"""Numbers and names of what must be true before anything is sent."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from bundler.core.digest import Digest
from bundler.core.errors import EngineError, PreconditionError
from bundler.core.oci import LAYER_ZSTD, Descriptor, Layer
from bundler.installer.engine import CONTAINERD, GRAPH, EngineFacts
from bundler.installer.plan import Plan
from bundler.installer.preflight import MARGIN, require_platform, require_space, require_space_for_files

FACTS = EngineFacts("docker", "28.5", "1.51", "linux/arm64/v8", GRAPH, "ID", Path("/data"), 1 << 30, 2.0, 1.0)


def layer(size: int) -> Layer:
    return Layer(Digest.of(bytes([size % 251])), size, Descriptor(LAYER_ZSTD, Digest.of(b""), size // 2), "model")


def test_peak_is_all_layers_and_the_largest_once_more() -> None:
    missing = (layer(100), layer(1000), layer(10))
    assert Plan(FACTS, frozenset(), missing).peak_size == 1110 + 1000
    containerd = dataclasses.replace(FACTS, store=CONTAINERD, peak_factor=2.0, kept_factor=2.0)
    assert Plan(containerd, frozenset(), missing).peak_size == 2220
    assert Plan(FACTS, frozenset(), ()).peak_size == 0


@pytest.mark.parametrize("wanted", ["linux/arm64", "linux/arm64/v8"])
def test_platform_agrees(wanted: str) -> None:
    require_platform(wanted, FACTS)


@pytest.mark.parametrize("wanted", ["linux/amd64", "windows/arm64", "linux/arm64/v9"])
def test_platform_differs(wanted: str) -> None:
    with pytest.raises(EngineError) as caught:
        require_platform(wanted, FACTS)
    assert wanted in caught.value.what


def test_space_is_said_in_numbers() -> None:
    require_space("the disk", Path("/data"), 10 + MARGIN, 10)
    require_space("the disk", Path("/data"), 0, 10, False)
    with pytest.raises(PreconditionError) as caught:
        require_space("the disk", Path("/data"), 3 << 20, 100 << 20)
    assert "3.0 MiB free" in caught.value.what
    assert "104.0 MiB are needed" in caught.value.what
    assert "free 101.0 MiB" in caught.value.remedy
    assert caught.value.where == "/data"


def test_space_for_files(tmp_path: Path) -> None:
    require_space_for_files(tmp_path / "not" / "there", 1000)
    with pytest.raises(PreconditionError) as caught:
        require_space_for_files(tmp_path / "not" / "there", 1 << 60)
    assert str(tmp_path) in caught.value.where


def test_place_that_cannot_take_files(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PreconditionError) as caught:
        require_space_for_files(tmp_path / "file" / "srv", 0)
    assert "--into" in caught.value.remedy
