"""Words of a recipe's files that become others: its own name, the repos of its models, and links that lead out of it."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from bundler.builder.new_recipe import NewFile

_LINK = re.compile(r"(?<!!)\[([^\]]*)\]\(([^)\s]+)\)")


@dataclass(frozen=True)
class ModelExchange:
    """A model of a recipe, by its name there, the repo that it had, and the one that it is to have."""

    model: str
    old_repo: str
    new_repo: str

    @property
    def old_name(self) -> str:
        """The repo without its owner: how texts speak of the model."""
        return self.old_repo.rpartition("/")[2]


def text_in(file: NewFile) -> str | None:
    """Its text; None where it is none."""
    try:
        text = file.content.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text


def rewritten(files: Mapping[str, NewFile], rewrite: Callable[[str, str], str]) -> dict[str, NewFile]:
    """The files with ``rewrite(path, text)`` in place of each text."""

    def made(path: str, file: NewFile) -> NewFile:
        text = text_in(file)
        return file if text is None else replace(file, content=rewrite(path, text).encode())

    return {path: made(path, file) for path, file in files.items()}


def with_name(text: str, old: str, new: str) -> str:
    """``text`` with the recipe's name exchanged, also where one of its own goes on (``old:base``, ``old-app``).

    Longer words that hold it stay, other recipes' directories, and what says to begin with it (``--from old``); its own
    directory in bundler's source (``recipes/old``) becomes the one of the reader.
    """
    at_home = re.sub(rf"(?<![\w./-])recipes/{re.escape(old)}(?![\w-])", ".", text)
    return re.sub(rf"(?<![\w.-])(?<!recipes/)(?<!--from ){re.escape(old)}(?!\w)", new, at_home)


def with_repos(text: str, exchanges: Iterable[ModelExchange]) -> str:
    """``text`` with the ids of exchanged repos."""
    for each in exchanges:
        text = re.sub(rf"(?<![\w.-]){re.escape(each.old_repo)}(?![\w-])", each.new_repo, text)
    return text


def without_links_outside(text: str, path: str, home: str) -> str:
    """Markdown of the file ``path`` of the directory ``home``: links that lead out of it say in words where they led."""

    def said(link: re.Match[str]) -> str:
        label, target = link.groups()
        led = posixpath.normpath(posixpath.join(home, posixpath.dirname(path), target))
        if re.match(r"[a-z]+:|#|/", target) or led == home or led.startswith(f"{home}/"):
            return link[0]
        return f"{label} ({led} of bundler)"

    return _LINK.sub(said, text)
