"""The files of a repo that state terms, in full, and what a model card says in its head."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable
from io import StringIO
from pathlib import PurePosixPath

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from bundler.builder.hub.sources.listing import ListedFile
from bundler.builder.lock import LicenseText

#: Longer ones are no terms that a person reads; they stay files of the model like any other.
LARGEST_TEXT = 256 << 10
CARD = "README.md"
_TERMS = re.compile(r"(?:licen[cs]e|notice|copying|use[_-]policy)(?![a-z])", re.IGNORECASE)
_NOT_TEXT = frozenset(
    {".py", ".json", ".jpg", ".jpeg", ".png", ".svg", ".gif", ".pdf", ".docx", ".safetensors", ".bin"}
)
_FRONT_MATTER = re.compile(r"\A\ufeff?---[ \t]*\r?\n(.*?)^---[ \t]*\r?$", re.DOTALL | re.MULTILINE)


def states_terms(file: ListedFile) -> bool:
    """Whether it is called LICENSE, LICENCE, NOTICE, COPYING or USE_POLICY, with whatever behind it, and is short."""
    name = PurePosixPath(file.path)
    fits = _TERMS.match(name.name) is not None and name.suffix.lower() not in _NOT_TEXT
    return fits and file.size <= LARGEST_TEXT


def license_texts(files: Iterable[ListedFile], read: Callable[[ListedFile], bytes]) -> list[LicenseText]:
    """The texts among ``files``; ``read`` gives the content of one, compared with its digest already."""
    return [_text(file, read(file)) for file in files if states_terms(file)]


def fits(content: bytes, file: ListedFile) -> bool:
    """Whether ``content`` has the size and digest that the source told."""
    if len(content) != file.size:
        return False
    if file.sha256 is not None:
        return hashlib.sha256(content).hexdigest() == file.sha256
    git = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False)
    return git.hexdigest() == file.git_sha1


def card_metadata(content: bytes) -> dict[str, object]:
    """The YAML between the two ``---`` lines at the head of a model card; empty where it cannot be read."""
    match = _FRONT_MATTER.match(content.decode("utf-8", errors="replace"))
    if match is None:
        return {}
    try:
        found = YAML(typ="safe", pure=True).load(StringIO(match[1]))
    except (YAMLError, ValueError):
        return {}
    return {str(key): value for key, value in found.items()} if isinstance(found, dict) else {}


def _text(file: ListedFile, content: bytes) -> LicenseText:
    text = content.decode("utf-8", errors="replace")
    return LicenseText(path=file.path, sha256=hashlib.sha256(content).hexdigest(), text=text)
