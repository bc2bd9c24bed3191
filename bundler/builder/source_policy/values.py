"""What is known of a value without running the program: a text, perhaps with holes, a constant, or nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

#: Stands in a text for a part that is not known.
HOLE = "\0"
MOST = 64
_REPO_PART = r"[A-Za-z0-9_\0](?:[\w.\-\0]*[\w\0])?"
# What huggingface_hub's validate_repo_id takes for a repo: one or two parts of these characters.
_REPO = re.compile(rf"{_REPO_PART}(?:/{_REPO_PART})?", re.ASCII)


@dataclass(frozen=True)
class Value:
    """One thing that an expression may be. ``content`` is a str, bool, int or None; ``known`` is False for neither.

    ``replaces`` is True where a condition, an `or`, a second assignment or a default lets it take another's place.

    ``line`` and ``column`` (from 0, as `ast` counts) say where it was written or where it took another's place.
    """

    content: object
    line: int
    column: int
    known: bool = True
    replaces: bool = False

    def moved(self, line: int, column: int) -> Value:
        """The same at another place."""
        return replace(self, line=line, column=column)

    def instead(self, line: int, column: int) -> Value:
        """The same, taking the place of another there."""
        return replace(self, line=line, column=column, replaces=True)

    @property
    def text(self) -> str | None:
        """The text, or None for anything else."""
        return self.content if self.known and isinstance(self.content, str) else None

    @property
    def is_repo(self) -> bool:
        """Whether the Hub's client would take it for the name of a repo."""
        return self.text is not None and names_a_repo(self.text)

    @property
    def shown(self) -> str:
        """The text for messages, with `…` for what is not known."""
        return str(self.content).replace(HOLE, "…") if self.known else "…"


def unknown(line: int, column: int) -> Value:
    """A value of which nothing is known."""
    return Value(None, line, column, known=False)


def names_a_repo(text: str) -> bool:
    """``org/name``, a bare name, or a relative path of that form; absolute paths, ``./x`` and ``~`` are none.

    A text that begins with a hole may be an absolute path, so it is not taken for one.
    """
    return not text.startswith(HOLE) and "$" not in text and _REPO.fullmatch(text) is not None


def is_absolute(text: str) -> bool:
    """Whether the text is certainly an absolute path."""
    return text.startswith(("/", "~", "file:///"))


def join_paths(parts: Iterable[str]) -> str:
    """As ``os.path.join``: an absolute part begins anew."""
    joined = ""
    for part in parts:
        begins = part.startswith("/") or not joined
        joined = part if begins else f"{joined.rstrip('/')}/{part}"
    return joined


def as_path(text: str) -> str:
    """As ``str(pathlib.Path(text))``: ``./a//b`` is ``a/b``."""
    return str(PurePosixPath(text))


def made_absolute(text: str) -> str:
    """As ``Path.resolve`` in a directory that is not known."""
    return text if is_absolute(text) else f"/{HOLE}/{text}"


def distinct(values: Iterable[Value]) -> tuple[Value, ...]:
    """Each once, and not more than `MOST`; what goes beyond is not known."""
    found = tuple(dict.fromkeys(values))
    return found if len(found) <= MOST else (*found[:MOST], unknown(found[MOST].line, found[MOST].column))
