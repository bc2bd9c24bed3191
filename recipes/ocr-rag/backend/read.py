"""Batches of pages to what stands on them, for the check that compares it with a reference's.

    python -m backend.read '[["library.png"], ["opening-hours.png"], ["library.png", "opening-hours.png"]]'

The pages are those in ``backend/pages``, by their names. Prints one line, a JSON list with a list of readings for each batch.
Pages are read in turn, each from its file to its words as one that is sent to ``/ocr``; with the large recogniser always.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backend.batches import read_texts
from backend.errors import ServiceError, run
from backend.model_files import ModelsLock
from backend.settings import Settings

if TYPE_CHECKING:
    from yomitoku.schemas import DocumentAnalyzerSchema

PAGES = Path(__file__).with_name("pages")


def main() -> int:
    """Read the batches of the command line."""
    parser = argparse.ArgumentParser(prog="backend.read", description="Read batches of pages.")
    parser.add_argument("batches", help="JSON list of lists of names of pages")
    batches = [[_page(name) for name in batch] for batch in read_texts(parser.parse_args().batches)]
    settings = Settings.from_environment()
    lock = ModelsLock.read(settings.lock)
    from backend.services.ocr.yomitoku import YomitokuOcr, decode  # noqa: PLC0415 - takes seconds

    service = YomitokuOcr.load(settings.yomitoku_dir, lock)
    print(json.dumps([[_told(service.read(decode(page))) for page in batch] for batch in batches]))
    return 0


def _page(name: str) -> bytes:
    """The file of the page. Raises ServiceError where there is none of this name."""
    found = {path.name: path for path in PAGES.glob("*.png")}
    if name not in found:
        raise ServiceError(f"no page {name!r} in {PAGES}: there are {', '.join(sorted(found))}")
    return found[name].read_bytes()


def _told(page: DocumentAnalyzerSchema) -> dict[str, Any]:
    """Texts and places. What must be the same to the letter is a text, cells' numbers too: numbers may be some pixels off."""
    return {
        "words": [{"text": word.content, "at": word.points} for word in page.words],
        "paragraphs": [{"text": each.contents, "at": each.box} for each in page.paragraphs],
        "tables": [
            {"at": table.box, "cells": [[f"{cell.row}, {cell.col}", cell.contents] for cell in table.cells]}
            for table in page.tables
        ],
    }


if __name__ == "__main__":
    run(main)
