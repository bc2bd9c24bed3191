"""The Dockerfiles that a recipe names: there, readable, and apps that stand on the base."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter

from bundler.builder.dockerfile import SCRATCH, Dockerfile, Stage, parse_dockerfile
from bundler.builder.dockerfile_lines import DockerfileFault
from bundler.builder.recipe import BuildSpec, ModelValue, Recipe
from bundler.builder.recipe_draft import EACH, Draft, Found
from bundler.builder.recipe_types import ImageName, RecipePath, SecretId, Slug, Tag, Text, VariableName
from bundler.core.errors import Problem, RecipeError
from bundler.core.reference import Reference

_TEXT: TypeAdapter[str] = TypeAdapter(RecipePath)
_TARGET: TypeAdapter[str] = TypeAdapter(Text)
_SECRET: TypeAdapter[str] = TypeAdapter(SecretId)
_PLATFORM: TypeAdapter[str] = TypeAdapter(str)
_TAG: TypeAdapter[Reference] = TypeAdapter(Tag)
_IMAGE_NAME: TypeAdapter[str] = TypeAdapter(ImageName)
_ARGS: TypeAdapter[dict[str, str]] = TypeAdapter(dict[VariableName, str])
_ARGS_FROM: TypeAdapter[dict[str, ModelValue]] = TypeAdapter(dict[VariableName, ModelValue])
_SLUG: TypeAdapter[str] = TypeAdapter(Slug)


@dataclass(frozen=True)
class _Build:
    """What can be read of a build of the draft."""

    dockerfile: Found[str]
    args: dict[str, str]
    args_from: Found[dict[str, ModelValue]] | None
    target: Found[str] | None
    is_app: bool


def read_dockerfile(directory: Path, name: str, args: dict[str, str], platform: str) -> Dockerfile:
    """Read and parse ``directory/name``; raises DockerfileFault."""
    try:
        text = (directory / name).read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError) as error:
        remedy = "write the file, or correct its path; it is relative to the recipe's directory"
        raise DockerfileFault("", f"the Dockerfile {name!r} does not exist", remedy) from error
    except OSError as error:
        remedy = "name a readable file"
        raise DockerfileFault("", f"the Dockerfile {name!r} cannot be read: {error.strerror}", remedy) from error
    except UnicodeDecodeError as error:
        raise DockerfileFault(name, "not UTF-8 text", "name a Dockerfile") from error
    if "\0" in text:
        raise DockerfileFault(name, "a binary file", "name a Dockerfile")
    return parse_dockerfile(text, name, args, platform)


def dockerfile_of(recipe: Recipe, build: BuildSpec) -> Dockerfile:
    """The parsed Dockerfile of ``build``; raises RecipeError if it changed for the worse since the recipe was read."""
    try:
        return read_dockerfile(recipe.directory, build.dockerfile, build.args, recipe.platform)
    except DockerfileFault as error:
        problem = error.problem
        where = problem.where or str(recipe.path_of(build.dockerfile))
        raise RecipeError(problem.what, where=where, remedy=problem.remedy) from error


def dockerfile_problems(draft: Draft) -> Iterator[Problem]:
    """Everything that is wrong with Dockerfiles and contexts."""
    yield from _contexts_are_there(draft)
    yield from _base_image_is_another(draft)
    platform = next((each.value for each in draft.values(_PLATFORM, "platform")), "linux/amd64")
    for build in _builds(draft):
        try:
            read = read_dockerfile(draft.directory, build.dockerfile.value, build.args, platform)
        except DockerfileFault as error:
            yield Problem(error.problem.where or build.dockerfile.where, error.problem.what, error.problem.remedy)
            continue
        yield from _from_needs_no_model(draft, build, read, platform)
        yield from _secrets_are_named(draft, read)
        yield from _stages_fit(draft, build, read)
        yield from _outside_names_are_names(draft, build, read)


def _base_image_is_another(draft: Draft) -> Iterator[Problem]:
    base = next((each.value for each in draft.values(_TAG, "base", "tag")), None)
    for each in draft.values(_IMAGE_NAME, "base", "image"):
        if Reference.parse(each.value).tagged() == base:
            yield Problem(
                each.where, f"the base is made from {each.value}, its own tag", "give the base another `tag:`"
            )


def _builds(draft: Draft) -> list[_Build]:
    found = [*draft.values(_TEXT, "base", "dockerfile"), *draft.values(_TEXT, "apps", EACH, "dockerfile")]
    args = {
        each.location[:-1]: each.value
        for keys in (("base",), ("apps", EACH))
        for each in draft.values(_ARGS, *keys, "args")
    }
    targets = {
        each.location[:-1]: each
        for keys in (("base",), ("apps", EACH))
        for each in draft.values(_TARGET, *keys, "target")
    }
    args_from = {
        each.location[:-1]: each
        for keys in (("base",), ("apps", EACH))
        for each in draft.values(_ARGS_FROM, *keys, "args_from")
    }
    return [
        _Build(
            each,
            args.get(each.location[:-1], {}),
            args_from.get(each.location[:-1]),
            targets.get(each.location[:-1]),
            each.location[0] == "apps",
        )
        for each in found
    ]


def _from_needs_no_model(draft: Draft, build: _Build, read: Dockerfile, platform: str) -> Iterator[Problem]:
    """Images from outside are locked before models are here, and arguments of a model known only then."""
    if build.args_from is None:
        return
    models = [each.value for each in draft.values(_SLUG, "models", EACH, "name")]
    for name, source in build.args_from.value.items():
        if source.model not in models:
            what = f"{name} is to be read from a model {source.model!r}, which is not here"
            yield Problem(build.args_from.where, what, f"name one of: {', '.join(models)}")
        if name in build.args:
            yield Problem(build.args_from.where, f"{name} stands in `args:` too", "give it by one of the two")
        tried = read_dockerfile(draft.directory, build.dockerfile.value, {**build.args, name: "read-later"}, platform)
        if tried.outside != read.outside:
            what = f"{name} decides what {read.name} is made FROM, before any model is read"
            yield Problem(build.args_from.where, what, "give it by `args:`")


def _contexts_are_there(draft: Draft) -> Iterator[Problem]:
    for each in [*draft.values(_TEXT, "base", "context"), *draft.values(_TEXT, "apps", EACH, "context")]:
        if not (draft.directory / each.value).is_dir():
            remedy = "name a directory; it is relative to the recipe's directory"
            yield Problem(each.where, f"the context {each.value!r} is not a directory", remedy)


def _secrets_are_named(draft: Draft, read: Dockerfile) -> Iterator[Problem]:
    # A builder goes on without a secret that nobody gave it, and the step fails later or falls back in silence.
    named = {each.value for each in draft.values(_SECRET, "secrets", EACH)}
    for feature in read.features:
        if feature.kind == "secret" and feature.detail not in named:
            what = f"mounts the secret {feature.detail!r}, which the recipe does not name"
            yield Problem(f"{read.name}:{feature.line}", what, f"add {feature.detail!r} to `secrets:` of the recipe")


def _stages_fit(draft: Draft, build: _Build, read: Dockerfile) -> Iterator[Problem]:
    final = read.stage(build.target.value if build.target else None)
    if final is None:
        where = build.target.where if build.target else build.dockerfile.where
        stages = ", ".join(stage.name for stage in read.stages if stage.name) or "none has a name"
        yield Problem(where, f"{read.name} has no such stage", f"stages there: {stages}")
        return
    base = next((each.value for each in draft.values(_TAG, "base", "tag")), None)
    origin = read.origin(final)
    if base is not None and build.is_app and not names(origin, base):
        what = f"the final stage is FROM {origin.parent}, not from the base {base.familiar}"
        yield Problem(f"{read.name}:{origin.line}", what, f"write FROM {base.familiar}, so that the models are in it")
    if base is not None and not build.is_app and names(origin, base):
        what = f"the base is FROM {base.familiar}, its own tag"
        yield Problem(f"{read.name}:{origin.line}", what, "name the image that the base is made from")


def _outside_names_are_names(draft: Draft, build: _Build, read: Dockerfile) -> Iterator[Problem]:
    apps = {str(each.value) for each in draft.values(_TAG, "apps", EACH, "tag")}
    for image in read.outside:
        where = f"{read.name}:{image.line}"
        try:
            asked = Reference.parse(image.name).tagged()
        except ValueError as error:
            yield Problem(where, f"{image.name!r} is no stage above and no image name: {error}", "correct the name")
            continue
        # The final stage of an app that is another app is reported as one that is not from the base.
        if str(asked) in apps and not (build.is_app and image.keyword == "FROM"):
            remedy = "let apps share what they need through the base"
            yield Problem(where, f"{image.name} is an app of this recipe, made only after this build", remedy)


def names(stage: Stage, reference: Reference) -> bool:
    """Whether the stage's FROM means ``reference``, short or full."""
    if stage.parent == SCRATCH:
        return False
    try:
        return Reference.parse(stage.parent).tagged() == reference
    except ValueError:
        return False
