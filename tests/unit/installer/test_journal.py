"""What ends a run is told first, whatever happens while the run is undone; what could not be undone is told with it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import cast

import pytest

from bundler.core.digest import Digest
from bundler.core.errors import BundlerError, CheckError, EngineError, PreconditionError
from bundler.core.progress import SilentProgress
from bundler.core.reference import Reference
from bundler.installer.engine import Engine, HeldImage
from bundler.installer.host import Host
from bundler.installer.journal import Journal, open_journal
from bundler.installer.journal_file import MovedName, read_entries

IMAGE, NAME = Digest.of(b"an image"), Reference.parse("docker.io/library/app:1")
FULL = PreconditionError("the engine has no space left", where="the engine", remedy="make room")


class StubbornEngine:
    """Holds what it is given, and moves no name back."""

    held: frozenset[Digest] = frozenset()

    def find(self, image: Reference | Digest) -> HeldImage | None:
        return HeldImage(IMAGE, ()) if image == NAME or image in self.held else None

    def set_names(self, names: Mapping[Reference, Digest | None]) -> None:
        raise FULL

    def forget(self, image_ids: Iterable[Digest]) -> None:
        self.held -= frozenset(image_ids)


def run_that_ends_by(error: BaseException, host: Host, *, move: bool = True) -> None:
    """A run that brought one image, gave it a name, and failed."""
    engine = StubbornEngine()
    with open_journal(host, Path("/kit"), cast("Engine", engine), "engine", SilentProgress()) as journal:
        bring(journal, engine, move=move)
        raise error


def bring(journal: Journal, engine: StubbornEngine, *, move: bool) -> None:
    journal.begin_image(IMAGE)
    engine.held = frozenset([IMAGE])
    journal.image_stands(IMAGE, [Digest.of(b"a layer")])
    if move:
        journal.begin_names({NAME: MovedName(None, IMAGE)})


def told(error: BundlerError) -> list[tuple[str, str]]:
    return [(problem.where, problem.what.partition(",")[0]) for problem in error.problems]


@pytest.mark.parametrize("kind", [CheckError, EngineError])
def test_the_first_error_is_told_with_what_its_undo_met(tmp_path: Path, kind: type[BundlerError]) -> None:
    host = Host(tmp_path)
    with pytest.raises(kind, match="the first one") as raised:
        run_that_ends_by(kind("the first one", where="here", remedy="this"), host)
    assert told(raised.value) == [("not yet undone", FULL.what), ("kept without a name", "verified layers")]
    entries = read_entries(host.journal_path("engine"))
    assert entries is not None
    assert set(entries.names) == {NAME}


def test_a_receipt_that_cannot_be_read_hides_no_error_and_undoes_nothing(tmp_path: Path) -> None:
    """It could be the one that ends this run."""
    host = Host(tmp_path)
    receipt = host.receipts_dir("engine") / "app.json"
    receipt.parent.mkdir(parents=True)
    receipt.write_text("{")
    with pytest.raises(CheckError) as raised:
        run_that_ends_by(CheckError("the first one", where="here", remedy="this"), host, move=False)
    assert [where for where, _ in told(raised.value)] == ["not yet undone", "kept without a name"]
    assert "a receipt cannot be read" in raised.value.problems[0].what
    assert read_entries(host.journal_path("engine")) is not None
