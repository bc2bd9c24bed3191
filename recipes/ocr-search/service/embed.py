"""Batches of texts to vectors, for the check that compares them with a reference's.

    python -m service.embed '[["one text"], ["another"], ["one text", "another"]]'

Prints one line, a JSON list with a list of vectors for each batch. Each batch goes through the model as a whole, as the
texts do when the service starts: the shorter ones are padded to the longest.
"""

from __future__ import annotations

import argparse
import json

from service.embedder import Embedder
from service.errors import ServiceError, run
from service.settings import Settings


def main() -> int:
    """Embed the batches of the command line."""
    parser = argparse.ArgumentParser(prog="service.embed", description="Embed batches of texts.")
    parser.add_argument("batches", help="JSON list of lists of texts")
    batches = read_batches(parser.parse_args().batches)
    embedder = Embedder.load(Settings.from_environment().minilm_dir)
    print(json.dumps([embedder.embed(batch).tolist() for batch in batches]))
    return 0


def read_batches(text: str) -> list[list[str]]:
    """Lists of texts, none of them empty. Raises ServiceError for anything else."""
    try:
        batches = json.loads(text)
    except ValueError as error:
        raise ServiceError(f"the batches are not JSON: {error}") from error
    if not (isinstance(batches, list) and all(_is_batch(batch) for batch in batches)):
        raise ServiceError("the batches have to be a JSON list of lists of texts, none of them empty")
    return batches


def _is_batch(batch: object) -> bool:
    return isinstance(batch, list) and bool(batch) and all(isinstance(text, str) for text in batch)


if __name__ == "__main__":
    run(main)
