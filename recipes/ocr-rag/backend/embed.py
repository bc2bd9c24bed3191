"""Batches of texts to vectors, for the check that compares them with a reference's.

    python -m backend.embed '[["one text"], ["another"], ["one text", "another"]]'

Prints one line, a JSON list with a list of vectors for each batch. Each batch goes through the model as a whole: the shorter
texts are padded to the longest.
"""

from __future__ import annotations

import argparse
import json

from backend.batches import read_texts
from backend.errors import run
from backend.model_files import ModelsLock
from backend.settings import Settings


def main() -> int:
    """Embed the batches of the command line."""
    parser = argparse.ArgumentParser(prog="backend.embed", description="Embed batches of texts.")
    parser.add_argument("batches", help="JSON list of lists of texts")
    batches = read_texts(parser.parse_args().batches)
    settings = Settings.from_environment()
    locked = ModelsLock.read(settings.lock).named("sarashina")
    from backend.services.embedding.sarashina import SarashinaEmbedding  # noqa: PLC0415 - takes seconds

    service = SarashinaEmbedding.load(settings.sarashina_dir, locked)
    print(
        json.dumps([[[float(f"{x:.7g}") for x in row] for row in service.embed(batch).tolist()] for batch in batches])
    )
    return 0


if __name__ == "__main__":
    run(main)
