"""A recipe that was read and may still be wrong: each value that is right by itself can be taken from it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter, ValidationError

from bundler.builder.recipe import Location
from bundler.builder.yaml_source import YamlSource

_T = TypeVar("_T")
EACH = None


@dataclass(frozen=True)
class Found(Generic[_T]):
    """A value of the draft with its place."""

    location: Location
    value: _T
    where: str


@dataclass(frozen=True)
class Draft:
    """A recipe that was read and may still be wrong."""

    directory: Path
    source: YamlSource

    def values(self, kind: TypeAdapter[_T], *keys: str | None) -> list[Found[_T]]:
        """Every value below ``keys`` (EACH stands for all items of a list) that is right by itself."""
        found = []
        for location, raw in self._raw(self.source.document, keys, ()):
            try:
                found.append(Found(location, kind.validate_python(raw, strict=True), self.source.where(location)))
            except ValidationError:
                continue  # reported by the reading of the whole
        return found

    def _raw(self, node: object, keys: Sequence[str | None], at: Location) -> Iterator[tuple[Location, Any]]:
        if not keys:
            yield at, node
        elif keys[0] is EACH and isinstance(node, tuple):
            for index, item in enumerate(node):
                yield from self._raw(item, keys[1:], (*at, index))
        elif isinstance(keys[0], str) and isinstance(node, dict) and keys[0] in node:
            yield from self._raw(node[keys[0]], keys[1:], (*at, keys[0]))
