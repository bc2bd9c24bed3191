"""Room that is asked for beside the kit's: for images that ``--load`` brings into an engine, and for packed layers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from testbed.engines import DOCKER_20, RunningEngine
from tests.support.build_site import build_site, fetched_files, images_in
from tests.support.disks import disk

MIB = 1 << 20


def test_an_engine_without_room_for_the_images(start_engine: Callable[..., RunningEngine], tmp_path: Path) -> None:
    engine = start_engine(DOCKER_20, size_bytes=40 * MIB)
    with build_site(tmp_path, engine, 32 * MIB) as site:
        before = images_in(engine)
        done = site.run("--rehearse", "off", "--load")
        assert done.returncode == 10, done.stderr
        assert "there is not enough disk space" in done.stderr
        assert "the images in the engine" in done.stderr and str(engine.data_root) in done.stderr
        assert fetched_files(site.hub) == []
        assert images_in(engine) == before
        assert not site.output.exists()
        done = site.run("--rehearse", "off")
        assert done.returncode == 0, done.stderr


def test_a_cache_without_room_for_the_packed_layers(docker20: RunningEngine, tmp_path: Path) -> None:
    """Found when the images are built, before the engine is asked for them."""
    with disk(tmp_path / "cache", 12 * MIB) as cache, build_site(tmp_path, docker20) as site:
        base = site.recipe / "Dockerfile.base"
        base.write_text(base.read_text() + "RUN head -c 41943040 /dev/urandom > /srv/noise\n")
        done = site.run("--rehearse", "off")
        assert done.returncode == 10, done.stderr
        assert "there is not enough disk space" in done.stderr and "layers to be packed" in done.stderr
        assert str(cache) in done.stderr
        assert not list((cache / "bundler" / "layers").glob("*"))
