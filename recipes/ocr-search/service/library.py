"""The pages: taken in, read one after the other by a thread of their own, kept in memory and nowhere else."""

from __future__ import annotations

import dataclasses
import queue
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from threading import Lock, Thread

from service.embedder import Embedder
from service.errors import ServiceError
from service.passages import passages_of
from service.pictures import MAX_BYTES, Picture, PictureError, decode
from service.reader import Line, Reader
from service.search import Hit, Passage, search, text_of
from service.settings import Settings

MAX_PAGES = 50
MAX_WAITING = 20
_LONGEST_NAME = 100
_SUFFIXES = {".jpeg", ".jpg", ".png"}


@dataclass(frozen=True)
class Page:
    """A page and how far it is: ``waiting``, ``reading`` (``done`` lines of ``found``), ``ready``, or ``failed``."""

    id: str
    name: str
    picture: Picture
    state: str = "waiting"
    done: int = 0
    found: int = 0
    lines: tuple[Line, ...] = ()
    passages: tuple[Passage, ...] = ()
    ocr_s: float = 0.0
    embed_s: float = 0.0

    @property
    def unread(self) -> bool:
        """Whether it is still to be read, or being read."""
        return self.state in {"waiting", "reading"}


class Library:
    """All pages. ``add`` and the questions are safe for several threads."""

    def __init__(self, reader: Reader, embedder: Embedder) -> None:
        self._reader = reader
        self._embedder = embedder
        self._lock = Lock()
        self._pages: dict[str, Page] = {}
        self._waiting: queue.PriorityQueue[tuple[bool, int, str]] = queue.PriorityQueue()

    @classmethod
    def load(cls, settings: Settings) -> Library:
        """An empty library with both models loaded. Raises ModelError."""
        embedder = Embedder.load(settings.minilm_dir)
        return cls(Reader.load(settings.ppocr_dir), embedder)

    def start(self) -> None:
        """Read what was added and what will be, until the process ends."""
        Thread(target=self._work, name="reader", daemon=True).start()

    def add(self, name: str, content: bytes, *, later: bool = False) -> Page:
        """Take a page in, to be read soon, or ``later`` than those that somebody waits for.

        Raises PictureError for what is no page, and where there is no room.
        """
        if len(content) > MAX_BYTES:
            raise PictureError(f"the picture is larger than {MAX_BYTES} bytes", 413)
        with self._lock:
            self._require_room()
        picture = decode(content)
        with self._lock:
            self._require_room()  # others may have come meanwhile
            number = len(self._pages) + 1
            page = Page(f"p{number}", _shown(name), picture)
            self._pages[page.id] = page
        self._waiting.put((later, number, page.id))
        return page

    def _require_room(self) -> None:
        if len(self._pages) >= MAX_PAGES:
            raise PictureError(f"{MAX_PAGES} pages are the most that are kept: a new start begins anew", 409)
        if sum(page.unread for page in self._pages.values()) >= MAX_WAITING:
            raise PictureError(f"{MAX_WAITING} pages are waiting to be read: try again later", 429)

    def read_next(self) -> Page:
        """Read the page that waits longest; waits for one where there is none."""
        return self._read(self._waiting.get()[-1])

    def _read(self, id: str) -> Page:
        page = self._change(id, state="reading")
        pixels = page.picture.pixels()
        begun = time.monotonic()
        lines = self._reader.read(pixels, lambda done, found: self._note(page.id, done=done, found=found))
        read = time.monotonic()
        passages = self._embed(page.id, passages_of(lines))
        return self._change(
            page.id,
            state="ready",
            lines=tuple(line for passage in passages for line in passage.lines),
            passages=passages,
            ocr_s=read - begun,
            embed_s=time.monotonic() - read,
        )

    def pages(self) -> list[Page]:
        """All pages in the order in which they came."""
        with self._lock:
            return list(self._pages.values())

    def page(self, id: str) -> Page | None:
        """One page, as it is now."""
        with self._lock:
            return self._pages.get(id)

    def ask(self, question: str, top_k: int) -> list[Hit]:
        """The best places among the pages that were read; of equal ones that on the page that came last."""
        passages = [passage for page in reversed(self.pages()) for passage in page.passages]
        return search(passages, self._embedder, question, top_k)

    def _work(self) -> None:
        while True:
            id = self._waiting.get()[-1]
            try:
                self._read(id)
            except Exception as error:  # noqa: BLE001 - one page that a library stumbles over must not end the others
                print(f"{id} could not be read: {error!r}", file=sys.stderr, flush=True)
                self._change(id, state="failed")

    def _embed(self, id: str, groups: list[tuple[Line, ...]]) -> tuple[Passage, ...]:
        embedded = self._embedder.encode([text_of(group) for group in groups]) if groups else []
        return tuple(Passage(id, group, vectors) for group, vectors in zip(groups, embedded, strict=True))

    def _note(self, id: str, **changes: int) -> None:
        self._change(id, **changes)

    def _change(self, id: str, **changes: object) -> Page:
        with self._lock:
            self._pages[id] = page = dataclasses.replace(self._pages[id], **changes)
            return page


def shipped(folder: Path) -> list[Path]:
    """The pictures of a folder by name. Raises ServiceError if there are none."""
    found = sorted(path for path in folder.glob("*") if path.suffix.lower() in _SUFFIXES)
    if not found:
        raise ServiceError(f"no pages (*.png, *.jpg) in {folder}; draw them with pages/draw.py or set PAGES_DIR")
    return found


def _shown(name: str) -> str:
    """A name for people: printable, not too long."""
    kept = "".join(letter for letter in name if letter.isprintable()).strip()
    return kept[:_LONGEST_NAME] or "page"
