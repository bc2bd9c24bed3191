"""Names that could not all be moved, or that someone else moved since: what is put back, and what is left alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from bundler.core.digest import Digest
from bundler.core.docker_api import connect
from bundler.core.errors import EngineError
from bundler.core.progress import SilentProgress
from bundler.core.reference import Reference
from bundler.installer.engines.docker import DockerEngine
from bundler.installer.install import InstallOptions, install
from bundler.installer.journal_file import MovedName
from bundler.installer.undo import restore_names
from testbed.engines import RunningEngine
from tests.bundles import make_bundle
from tests.sites import Site, site_at

BASE, APP = "bundler-test/service:base", "bundler-test/service:1.0.0"


@pytest.fixture
def any_site(any_engine: RunningEngine, tmp_path: Path) -> Iterator[Site]:
    with site_at(any_engine, tmp_path / "state") as site:
        yield site


class StumblingEngine(DockerEngine):
    """Moves the first of several names and then fails, once."""

    stumbled = False

    def set_names(self, names: Mapping[Reference, Digest | None]) -> None:
        if self.stumbled:
            return super().set_names(names)
        self.stumbled = True
        first = next(iter(names))
        super().set_names({first: names[first]})
        raise EngineError("the engine stumbled", where="here", remedy="again")


def test_half_of_the_names_moved(any_site: Site, tmp_path: Path) -> None:
    site = any_site
    site.install(make_bundle(tmp_path / "a", version="0.9.0", app_tag="1.0.0", model_seed=7))
    before = site.standing()
    kit = make_bundle(tmp_path / "b", version="1.0.0", greeting="hello new")
    engine = StumblingEngine(connect(site.running.base_url))
    with pytest.raises(EngineError, match="stumbled"):
        install(kit, engine, site.host, InstallOptions(into=tmp_path / "srv"), SilentProgress())
    after = site.standing()
    assert after.names == before.names
    assert after.containers == before.containers
    assert len(after.images - before.images) == 2  # kept for the next run, without names
    assert not (tmp_path / "srv").exists()
    assert not site.install(kit, into=tmp_path / "srv").already
    assert site.audit().findings == ()
    last = site.standing()
    assert last.images == after.images
    assert {last.names[BASE], last.names[APP]} == after.images - before.images


def test_what_someone_else_moved_since_is_left(any_site: Site, tmp_path: Path) -> None:
    site = any_site
    site.install(make_bundle(tmp_path))
    names = site.standing().names
    base, app = Digest.parse(names[BASE]), Digest.parse(names[APP])
    gone = Digest.of(b"an image that was removed")
    moves = {
        Reference.parse(BASE): MovedName(former=gone, new=app),  # stands for base now: someone else's word
        Reference.parse(APP): MovedName(former=gone, new=app),  # its former image is gone: the name goes
    }
    for _ in range(2):
        restore_names(site.engine, moves)
        standing = site.standing()
        assert standing.names.get(BASE) == str(base)
        assert APP not in standing.names
        assert str(app) in standing.images
