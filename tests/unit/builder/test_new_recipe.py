"""A new recipe's files: all of them or none, and nobody else's touched."""

from __future__ import annotations

from pathlib import Path

import pytest

from bundler.builder.new_recipe import NewFile, require_name, write_new
from bundler.core.errors import PreconditionError, UsageError


def test_files_stand_with_their_directories(tmp_path: Path) -> None:
    written = write_new(tmp_path / "new", {"a/b/c": NewFile(b"1"), "run": NewFile(b"2", executable=True)})
    assert written == (tmp_path / "new" / "a" / "b" / "c", tmp_path / "new" / "run")
    assert [path.read_bytes() for path in written] == [b"1", b"2"]
    assert [bool(path.stat().st_mode & 0o100) for path in written] == [False, True]


def test_what_was_begun_is_taken_back(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("")
    with pytest.raises(PreconditionError, match="cannot write"):
        write_new(tmp_path, {"a/b/c": NewFile(b"1"), "mine/d": NewFile(b"2")})
    assert [path.name for path in tmp_path.rglob("*")] == ["mine"]


@pytest.mark.parametrize("name", ["2024", "1.5", "1e3", "true", "null", "0x1f"])
def test_names_that_yaml_takes_for_something_else(name: str) -> None:
    with pytest.raises(UsageError, match="YAML takes it"):
        require_name(name)


@pytest.mark.parametrize("name", ["my-service", "3d.search", "on", "v1.0.0", "x"])
def test_names_that_will_do(name: str) -> None:
    require_name(name)
