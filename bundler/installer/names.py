"""Giving images their names, all of them together; the journal knows what each name stood for before."""

from __future__ import annotations

from collections.abc import Mapping

from bundler.core.digest import Digest
from bundler.core.reference import Reference
from bundler.installer.engine import Engine
from bundler.installer.journal import Journal
from bundler.installer.journal_file import MovedName


def name_all(wanted: Mapping[Reference, Digest], engine: Engine, journal: Journal) -> dict[Reference, MovedName]:
    """Point every name at its image; gives those that moved. Raises EngineError, and the journal undoes the rest."""
    moves: dict[Reference, MovedName] = {}
    for name, image_id in wanted.items():
        held = engine.find(name)
        if held is None or held.image_id != image_id:
            moves[name] = MovedName(held.image_id if held else None, image_id)
    journal.begin_names(moves)
    engine.set_names({name: moved.new for name, moved in moves.items()})
    return moves
