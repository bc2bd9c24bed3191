"""A journal says the same after it was written and read; an empty one is no file; a damaged one is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from bundler.core.digest import Digest
from bundler.core.errors import PreconditionError
from bundler.core.reference import Reference
from bundler.installer.journal_file import BegunFile, BroughtImage, Entries, MovedName, read_entries, write_entries

ONE, TWO = Digest.of(b"1"), Digest.of(b"2")


def entries() -> Entries:
    return Entries(
        "run",
        images={ONE: BroughtImage("/kit"), TWO: BroughtImage("/other", (ONE, TWO))},
        names={
            Reference.parse("docker.io/library/a:1"): MovedName(None, ONE),
            Reference.parse("docker.io/library/b:1"): MovedName(TWO, ONE),
        },
        files=[
            BegunFile(Path("/srv/a"), ONE, None, Path("/srv/.a.part")),
            BegunFile(Path("/srv/b"), TWO, Path("/srv/.b.before"), Path("/srv/.b.part")),
        ],
        directories=[Path("/srv")],
    )


def test_read_is_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "journals" / "engine.json"
    write_entries(path, entries())
    assert read_entries(path) == entries()


def test_empty_journal_is_no_file(tmp_path: Path) -> None:
    path = tmp_path / "journal.json"
    assert read_entries(path) is None
    write_entries(path, Entries("run"))
    assert not path.exists()
    write_entries(path, entries())
    write_entries(path, Entries("run"))
    assert not path.exists()


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"{}", b'{"journal_version": 2}', b'{"journal_version":1,"run_id":"x","images":[{"id":"sha256:1"}]}'],
)
def test_damaged_journal_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "journal.json"
    path.write_bytes(content)
    with pytest.raises(PreconditionError) as caught:
        read_entries(path)
    assert caught.value.where == str(path)
