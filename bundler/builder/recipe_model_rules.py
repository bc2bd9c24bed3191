"""What no single value about models shows: sources that say the same twice, layouts that a source cannot give."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from pydantic import TypeAdapter

from bundler.builder.recipe_download_types import HttpUrl
from bundler.builder.recipe_draft import EACH, Draft, Found
from bundler.builder.recipe_models import SourceSpec, UrlsSource
from bundler.builder.recipe_types import FilePath, Seconds
from bundler.core.errors import Problem

_SOURCE: TypeAdapter[Any] = TypeAdapter(cast("Any", SourceSpec))  # a union with a discriminator, no class
_FILE: TypeAdapter[str] = TypeAdapter(FilePath)
_ADDRESS: TypeAdapter[str] = TypeAdapter(HttpUrl)
_LAYOUT: TypeAdapter[str] = TypeAdapter(str)
_SECONDS: TypeAdapter[float] = TypeAdapter(Seconds)


def model_problems(draft: Draft) -> Iterator[Problem]:
    """All problems that the rules about models and their downloads find."""
    yield from _sources_once(draft)
    yield from _addresses_once(draft)
    yield from _caches_have_commits(draft)
    yield from _delays_grow(draft)


def _sources_once(draft: Draft) -> Iterator[Problem]:
    seen: dict[tuple[object, object], str] = {}
    for each in draft.values(_SOURCE, "models", EACH, "sources", EACH):
        key = (each.location[1], each.value)
        if key in seen:
            yield Problem(each.where, f"the source stands there twice, first at {seen[key]}", "remove one of the two")
        seen.setdefault(key, each.where)


def _addresses_once(draft: Draft) -> Iterator[Problem]:
    """Neither two addresses for one file of a source, nor two files from one address."""
    at = ("models", EACH, "sources", EACH, "urls", EACH)
    yield from _once(draft.values(_FILE, *at, "path"), "the file {} has two addresses", "keep one; a file is read once")
    yield from _once(draft.values(_ADDRESS, *at, "url"), "two files have the address {}", "give each its own")


def _once(found: list[Found[str]], what: str, remedy: str) -> Iterator[Problem]:
    seen: dict[tuple[object, ...], str] = {}
    for each in found:
        key = (*each.location[:4], each.value)
        if key in seen:
            yield Problem(each.where, f"{what.format(repr(each.value))}, the first at {seen[key]}", remedy)
        seen.setdefault(key, each.where)


def _caches_have_commits(draft: Draft) -> Iterator[Problem]:
    sources = draft.values(_SOURCE, "models", EACH, "sources", EACH)
    for layout in draft.values(_LAYOUT, "models", EACH, "layout"):
        own = [each.value for each in sources if each.location[:2] == layout.location[:2]]
        if layout.value == "hub-cache" and own and all(isinstance(each, UrlsSource) for each in own):
            what = "a Hub cache is made for a commit, and files of plain addresses have none"
            yield Problem(layout.where, what, "write `layout: plain`, or add a source that knows commits")


def _delays_grow(draft: Draft) -> Iterator[Problem]:
    first = draft.values(_SECONDS, "download", "first_delay")
    for longest in draft.values(_SECONDS, "download", "longest_delay"):
        if first and longest.value < first[0].value:
            what = f"`longest_delay` is shorter than `first_delay` of {first[0].where}"
            yield Problem(longest.where, what, "make it at least as long")
