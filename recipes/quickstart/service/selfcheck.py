"""Proof that the service in this image answers: questions whose answers are known, asked of the shipped texts.

    python -m service.selfcheck

Prints what was found and ends with 0 when each question finds its text, else with 1. The word that the recipe
expects, "capital", stands in an answer and in no question, so that it can't come from an echo.
"""

from __future__ import annotations

import time

from service.errors import run
from service.search import SearchIndex
from service.settings import Settings

#: A question, and the file that answers it.
KNOWN = (
    ("In which city does the government of Iceland have its seat?", "reykjavik.txt"),
    ("How do plants turn sunlight into food?", "photosynthesis.txt"),
    ("What keeps a bicycle from falling over?", "bicycle.txt"),
)


def main() -> int:
    """Ask the known questions; 0 when all were answered from the right text."""
    begun = time.monotonic()
    index = SearchIndex.open(Settings.from_environment())
    wrong = 0
    for question, expected in KNOWN:
        (hit,) = index.search(question, top_k=1)
        right = hit.passage.source == expected
        wrong += not right
        print(
            f"{'ok   ' if right else 'WRONG'} {question}\n      {hit.passage.text} ({hit.passage.source}, {hit.score:.3f})"
        )
    print(f"{len(KNOWN) - wrong} of {len(KNOWN)} questions answered in {time.monotonic() - begun:.1f} s")
    return 1 if wrong else 0


if __name__ == "__main__":
    run(main)
