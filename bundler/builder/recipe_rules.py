"""What no single value shows: names used twice, paths in each other's way, files that are not there.

A rule takes each value that can be read from the draft by itself, so that a fault elsewhere in the recipe hides
nothing. Rules about Dockerfiles stand in `recipe_dockerfiles`, those about sources of models in `recipe_model_rules`,
about files of checks in `recipe_check_rules`.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from pydantic import TypeAdapter

from bundler.builder.payload import PayloadFault, expand
from bundler.builder.recipe import ImageSpec, Location
from bundler.builder.recipe_check_rules import check_problems
from bundler.builder.recipe_dockerfiles import dockerfile_problems
from bundler.builder.recipe_draft import EACH, Draft, Found
from bundler.builder.recipe_model_rules import model_problems
from bundler.builder.recipe_types import FilePattern, ImageName, ImagePath, RepoId, Slug, Tag
from bundler.core.errors import Problem
from bundler.core.reference import Reference

_PATH: TypeAdapter[PurePosixPath] = TypeAdapter(ImagePath)
_TAG: TypeAdapter[Reference] = TypeAdapter(Tag)
_SLUG: TypeAdapter[str] = TypeAdapter(Slug)
_NAME: TypeAdapter[str] = TypeAdapter(ImageName)
_REPO: TypeAdapter[str] = TypeAdapter(RepoId)
_PATTERN: TypeAdapter[str] = TypeAdapter(FilePattern)
_IMAGE: TypeAdapter[ImageSpec] = TypeAdapter(ImageSpec)


def problems_of(draft: Draft) -> Iterator[Problem]:
    """All problems that the rules find."""
    for section in ("models", "prepare", "checks"):
        yield from _names_once(draft, section)
    yield from _tags_once(draft)
    yield from _images_once(draft)
    yield from _models_apart(draft)
    yield from model_problems(draft)
    yield from _one_hub_cache(draft)
    yield from _outputs_apart(draft)
    yield from _checks_have_images(draft)
    yield from check_problems(draft)
    yield from _payload_is_there(draft)
    yield from _archives_are_there(draft)
    yield from dockerfile_problems(draft)


def our_tags(draft: Draft) -> list[Found[Reference]]:
    """Tags of the base and the apps."""
    return [*draft.values(_TAG, "base", "tag"), *draft.values(_TAG, "apps", EACH, "tag")]


def _names_once(draft: Draft, section: str) -> Iterator[Problem]:
    seen: dict[str, str] = {}
    for each in draft.values(_SLUG, section, EACH, "name"):
        if each.value in seen:
            what = f"the name {each.value!r} stands in `{section}` twice, first at {seen[each.value]}"
            yield Problem(each.where, what, "give each its own name")
        seen.setdefault(each.value, each.where)


def _tags_once(draft: Draft) -> Iterator[Problem]:
    others = [Found(each.location, each.value.name, each.where) for each in draft.values(_IMAGE, "images", EACH)]
    seen: dict[str, str] = {}
    for each in [*our_tags(draft), *others]:
        name = str(each.value)
        if name in seen:
            what = f"two images would be called {each.value.familiar}, the first at {seen[name]}"
            yield Problem(each.where, what, "give each image its own `tag:`")
        seen.setdefault(name, each.where)


def _images_once(draft: Draft) -> Iterator[Problem]:
    """The lock knows an image of others by what was asked, wherever it was asked for."""
    seen: dict[str, str] = {}
    for each in draft.values(_NAME, "images", EACH, "image"):
        if each.value in seen:
            what = f"the image {each.value!r} is asked for twice, first at {seen[each.value]}"
            yield Problem(each.where, what, "ask for it once; images that differ need different names at their sources")
        seen.setdefault(each.value, each.where)


def _models_apart(draft: Draft) -> Iterator[Problem]:
    caches = _in_caches(draft)
    before: list[Found[PurePosixPath]] = []
    for each in draft.values(_PATH, "models", EACH, "path"):
        for first in before:
            relation = relation_of(each.value, first.value)
            shared = relation == "at" and {each.location[:2], first.location[:2]} <= caches
            if relation and not shared:
                what = f"the model path {each.value} is {relation} the one of {first.where}, {first.value}"
                yield Problem(each.where, what, "give each model a path of its own, none inside another")
        before.append(each)


def _in_caches(draft: Draft) -> set[Location]:
    """The models that stand in a Hub cache; several may, at the same path."""
    layouts = draft.values(TypeAdapter(str), "models", EACH, "layout")
    return {layout.location[:2] for layout in layouts if layout.value == "hub-cache"}


def _one_hub_cache(draft: Draft) -> Iterator[Problem]:
    """One variable names the cache, and a cache has one folder for a repo, whose ``main`` is one commit."""
    caches = _in_caches(draft)
    paths = [each for each in draft.values(_PATH, "models", EACH, "path") if each.location[:2] in caches]
    for each in paths[1:]:
        if each.value != paths[0].value:
            what = f"a second Hub cache, {each.value}; the first is {paths[0].value} at {paths[0].where}"
            yield Problem(each.where, what, "give all models with `layout: hub-cache` one path: HF_HUB_CACHE names it")
    seen: dict[str, str] = {}
    for repo in draft.values(_REPO, "models", EACH, "repo"):
        if repo.location[:2] not in caches:
            continue
        if repo.value in seen:
            what = f"the Hub cache holds {repo.value} already, by {seen[repo.value]}; it has one folder a repo"
            yield Problem(repo.where, what, "keep one of the two, or take the other with `layout: plain`")
        seen.setdefault(repo.value, repo.where)


def _outputs_apart(draft: Draft) -> Iterator[Problem]:
    taken = [(each, "the model path") for each in draft.values(_PATH, "models", EACH, "path")]
    for each in draft.values(_PATH, "prepare", EACH, "outputs", EACH):
        for first, kind in taken:
            relation = relation_of(each.value, first.value)
            if relation:
                what = f"the output {each.value} is {relation} {kind} of {first.where}, {first.value}"
                yield Problem(each.where, what, "write outputs to a path of their own")
        taken.append((each, "the output"))


def relation_of(one: PurePosixPath, other: PurePosixPath) -> str:
    """Whether ``one`` lies ``at``, ``above`` or ``below`` ``other``; empty if they are apart."""
    if one == other:
        return "at"
    if other.is_relative_to(one):
        return "above"
    return "below" if one.is_relative_to(other) else ""


def _checks_have_images(draft: Draft) -> Iterator[Problem]:
    ours = {str(each.value): each.value.familiar for each in our_tags(draft)}
    for each in draft.values(_TAG, "checks", EACH, "image"):
        if str(each.value) not in ours:
            remedy = f"name one of: {', '.join(ours.values())}" if ours else "name the tag of an app or of the base"
            yield Problem(each.where, f"no app and no base is called {each.value.familiar}", remedy)


def _payload_is_there(draft: Draft) -> Iterator[Problem]:
    for each in draft.values(_PATTERN, "files", EACH):
        try:
            expand(draft.directory, each.value)
        except PayloadFault as error:
            yield Problem(each.where, error.what, error.remedy)


def _archives_are_there(draft: Draft) -> Iterator[Problem]:
    for each in draft.values(_IMAGE, "images", EACH):
        if each.value.path is None:
            continue
        path, where = draft.directory / each.value.path, draft.source.where((*each.location, "path"))
        if each.value.source == "oci-layout" and not _is_layout(path):
            remedy = "name a directory with a file `oci-layout`, or an uncompressed tar of one"
            yield Problem(where, f"{each.value.path!r} is not an OCI layout", remedy)
        if each.value.source == "docker-archive" and not path.is_file():
            yield Problem(where, f"{each.value.path!r} is not a file", "name the file that `docker save` wrote")


def _is_layout(path: Path) -> bool:
    """A directory by its mark; of a tar, which may be large, only the first header is read."""
    if path.is_dir():
        return (path / "oci-layout").is_file()
    try:
        with tarfile.open(path, mode="r:"):
            return True
    except (OSError, tarfile.TarError):
        return False
