"""Batches of questions and passages to scores, for the check that compares them with a reference's.

    python -m backend.rerank '[[["a question", "a passage"]], [["a question", "a passage"], ["a question", "another"]]]'

Prints one line, a JSON list with a list of scores for each batch. Each batch goes through the model as a whole: the shorter
ones are padded to the longest.
"""

from __future__ import annotations

import argparse
import json

from backend.batches import read_pairs
from backend.errors import run
from backend.model_files import ModelsLock
from backend.settings import Settings


def main() -> int:
    """Score the batches of the command line."""
    parser = argparse.ArgumentParser(prog="backend.rerank", description="Score batches of questions and passages.")
    parser.add_argument("batches", help="JSON list of lists of pairs: question, passage")
    batches = read_pairs(parser.parse_args().batches)
    settings = Settings.from_environment()
    locked = ModelsLock.read(settings.lock).named("reranker")
    from backend.services.reranker.llama_nv import LlamaNvReranker  # noqa: PLC0415 - takes seconds

    service = LlamaNvReranker.load(settings.reranker_dir, locked)
    print(json.dumps([service.score_pairs(batch) for batch in batches]))
    return 0


if __name__ == "__main__":
    run(main)
