"""How often the first answer is the right one, and how long everything takes, on the shipped pages.

    python -m service.recall [--least 0.9]

Reads every page, asks every question of `questions.json`, and prints recall@1 with the seconds of OCR, embedding and
rerank. An answer is right when it stands on the right page and its passage holds the words that were asked for. Ends with
1 when recall@1 is below `--least`. `--page NAME` takes one page and its questions alone.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from service.embedder import Embedder
from service.errors import ServiceError, run
from service.library import Library, Page, shipped
from service.reader import Reader
from service.search import CANDIDATES, Hit, Passage, nearest, rerank
from service.settings import Settings

_QUESTIONS = "questions.json"


@dataclass(frozen=True)
class Question:
    """A question, the page that answers it (a name without suffix), and words that the answer holds."""

    page: str
    question: str
    answer: str


@dataclass(frozen=True)
class Asked:
    """What came first with both steps, and with the first step alone; seconds of each part."""

    hit: Hit
    nearest: Passage
    embed_s: float
    nearest_s: float
    rerank_s: float


def main() -> int:
    """Read, ask, report; 0 when recall@1 is high enough."""
    parser = argparse.ArgumentParser(prog="service.recall", description="Measure recall@1 and times on known pages.")
    parser.add_argument("--least", type=float, default=0.9, help="recall@1 that is enough (0.9)")
    parser.add_argument("--page", action="append", help="only this page and its questions; may be given again")
    arguments = parser.parse_args()
    settings = Settings.from_environment()
    wanted = set(arguments.page or [path.stem for path in shipped(settings.pages_dir)])
    questions = [one for one in read_questions(settings.pages_dir) if one.page in wanted]
    if not questions:
        raise ServiceError(f"no question in {settings.pages_dir / _QUESTIONS} is about {', '.join(sorted(wanted))}")
    begun = time.monotonic()
    reader, embedder = Reader.load(settings.ppocr_dir), Embedder.load(settings.minilm_dir)
    print(f"models loaded in {time.monotonic() - begun:.1f} s")
    pages = read_pages(Library(reader, embedder), [p for p in shipped(settings.pages_dir) if p.stem in wanted])
    return 0 if report(questions, pages, embedder) >= arguments.least else 1


def read_questions(folder: Path) -> list[Question]:
    """The questions beside the pages. Raises ServiceError when there are none that can be read."""
    try:
        return [Question(**entry) for entry in json.loads((folder / _QUESTIONS).read_text("utf-8"))]
    except (OSError, TypeError, ValueError) as error:
        raise ServiceError(f"{folder / _QUESTIONS}: no list of page, question and answer: {error}") from error


def read_pages(library: Library, paths: Sequence[Path]) -> list[Page]:
    """The pages, read one after the other."""
    pages = []
    for path in paths:
        library.add(path.name, path.read_bytes())
        page = library.read_next()
        print(
            f"{page.name}: {len(page.lines)} lines, OCR {page.ocr_s:.2f} s, embedding {page.embed_s:.2f} s", flush=True
        )
        pages.append(page)
    return pages


def ask(passages: Sequence[Passage], embedder: Embedder, question: str) -> Asked:
    """One question, with the time of each step."""
    times = [time.monotonic()]
    (embedded,) = embedder.encode([question])
    times.append(time.monotonic())
    found = nearest(passages, embedded, CANDIDATES)
    times.append(time.monotonic())
    hit = rerank(found, embedded)[0]
    times.append(time.monotonic())
    return Asked(hit, found[0][0], *(after - before for before, after in zip(times, times[1:], strict=False)))


def report(questions: Sequence[Question], pages: Sequence[Page], embedder: Embedder) -> float:
    """Ask and print; gives recall@1."""
    passages = [passage for page in pages for passage in page.passages]
    if not passages:
        raise ServiceError("no text was found on any page")
    names = {page.id: Path(page.name).stem for page in pages}
    asked = [ask(passages, embedder, question.question) for question in questions]
    right = [is_right(one.hit.passage, question, names) for one, question in zip(asked, questions, strict=True)]
    first = [is_right(one.nearest, question, names) for one, question in zip(asked, questions, strict=True)]
    for question, one, well in zip(questions, asked, right, strict=True):
        answer = one.hit.passage.lines[one.hit.best_line].text
        print(
            f"{'ok   ' if well else 'WRONG'} {question.question}\n      {names[one.hit.passage.page]}: {answer} ({one.hit.score:.3f})"
        )
    print(f"a page, median: OCR {_median(p.ocr_s for p in pages)}, embedding {_median(p.embed_s for p in pages)}")
    print(
        f"a question, median: embedding {_median(one.embed_s for one in asked)}, "
        f"nearest {_median(one.nearest_s for one in asked)}, rerank {_median(one.rerank_s for one in asked)}"
    )
    recall = sum(right) / len(right)
    print(f"recall@1 by the vectors alone: {sum(first) / len(first):.2f} ({sum(first)} of {len(first)})")
    print(f"recall@1 after the rerank: {recall:.2f} ({sum(right)} of {len(right)}, {len(pages)} pages)")
    return recall


def is_right(passage: Passage, question: Question, names: dict[str, str]) -> bool:
    """Whether the passage stands on the right page and holds the answer, whatever its case."""
    return names[passage.page] == question.page and question.answer.lower() in passage.text.lower()


def _median(seconds: Iterable[float]) -> str:
    return f"{median(seconds) * 1000:.1f} ms"


if __name__ == "__main__":
    run(main)
