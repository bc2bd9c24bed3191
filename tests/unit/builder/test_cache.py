"""Where a connected host keeps what builds share."""

from __future__ import annotations

from pathlib import Path

import pytest

from bundler.builder.cache import Cache, default_cache
from bundler.core.errors import PreconditionError


def test_the_environment_decides(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_cache().root == tmp_path / "bundler"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert default_cache().root == tmp_path / "relative" / "bundler"
    for value in ("", None):
        monkeypatch.setenv("HOME", str(tmp_path / "home"))
        monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
        if value is not None:
            monkeypatch.setenv("XDG_CACHE_HOME", value)
        assert default_cache().root == tmp_path / "home" / ".cache" / "bundler"


def test_without_a_home_a_person_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    with pytest.raises(PreconditionError, match="no home directory") as caught:
        default_cache()
    assert "XDG_CACHE_HOME" in caught.value.remedy


def test_every_place_is_below_the_root_and_none_twice(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    places = [cache.layers, cache.blobs, cache.prepared, cache.work, cache.rehearsals, cache.lock("a").parent]
    assert len(set(places)) == len(places)
    assert {place.parent for place in places} == {tmp_path}
    assert cache.lock("a") != cache.lock("b")
