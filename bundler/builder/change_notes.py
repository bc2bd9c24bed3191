"""Comments in a recipe that was started from another one: what is to be changed, above the line where it stands."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from bundler.builder.exchanges import ModelExchange
from bundler.builder.recipe import BuildSpec, ImageBase, Location, Recipe
from bundler.builder.recipe_checks import GoldenSpec
from bundler.builder.recipe_dockerfiles import dockerfile_of
from bundler.builder.recipe_models import EndpointSource, ModelSpec
from bundler.core.reference import Reference

#: With it every such comment begins, so that a search finds them all.
MARK = "CHANGE:"
_WIDTH = 118


@dataclass(frozen=True)
class Note:
    """A comment above ``line``, which counts from 1; ``off`` are lines that become comments themselves."""

    line: int
    text: str
    off: range = range(0)


def annotated(text: str, notes: Iterable[Note]) -> str:
    """``text`` of a YAML file or a Dockerfile with its notes, each as far to the right as the line below it."""
    above: dict[int, list[str]] = {}
    off: dict[int, int] = {}
    lines = text.splitlines(keepends=True)
    for note in notes:
        column = _column(lines[note.line - 1])
        width = _WIDTH - column
        wrapped = textwrap.wrap(note.text, width, break_long_words=False, break_on_hyphens=False)
        above.setdefault(note.line, []).extend(f"{' ' * column}# {each}\n" for each in wrapped)
        off.update(dict.fromkeys(note.off, column))
    said = []
    for number, line in enumerate(lines, start=1):
        said += above.get(number, [])
        is_off = number in off and line.strip()
        said.append(f"{line[: off[number]]}# {line[off[number] :]}" if is_off else line)
    return "".join(said)


def notes_on_recipe(
    recipe: Recipe,
    exchanges: Sequence[ModelExchange],
    recorded_of: Mapping[str, str],
    places: Mapping[str, Sequence[str]],
) -> Iterator[Note]:
    """What is said in ``recipe.yaml``.

    ``recorded_of`` has the model of each file of recorded outputs that is there, ``places`` the files in which each
    model's path stands.
    """
    exchanged = {each.model: each for each in exchanges}
    for index, model in enumerate(recipe.models):
        yield from _on_model(recipe, index, model, exchanged.get(model.name), places.get(model.name, ()))
    yield from _on_parts(recipe)
    for index, check in enumerate(recipe.checks):
        if isinstance(check, GoldenSpec):
            of = recorded_of.get(check.golden)
            yield _on_golden(recipe, index, check.golden, of, exchanged.get(of or ""))


def notes_on_dockerfiles(recipe: Recipe) -> dict[str, list[Note]]:
    """What is said in each Dockerfile: which image comes from outside."""
    notes: dict[str, list[Note]] = {}
    for build in [*([recipe.base] if isinstance(recipe.base, BuildSpec) else []), *recipe.apps]:
        if build.dockerfile not in notes:
            notes[build.dockerfile] = list(dict.fromkeys(_on_dockerfile(recipe, build)))
    return notes


def _on_parts(recipe: Recipe) -> Iterator[Note]:
    if isinstance(recipe.base, ImageBase):
        yield Note(_line(recipe, "base"), _outside(recipe.base.image))
    if recipe.images:
        yield Note(_line(recipe, "images"), f"{MARK} the images of others that run beside it.")
    if recipe.accept_licences:
        said = f"{MARK} these licences were accepted by somebody else; accept those that you have read."
        yield _off(recipe, said, "accept_licences")
    if recipe.checks:
        said = "what your service has to show; these questions and answers fit the recipe that this one began as"
        yield Note(_line(recipe, "checks"), f"{MARK} {said}.")


def _on_dockerfile(recipe: Recipe, build: BuildSpec) -> Iterator[Note]:
    dockerfile = dockerfile_of(recipe, build)
    written = {each.line: each.arguments for each in dockerfile.instructions}
    for image in dockerfile.outside:
        if Reference.parse(image.name).tagged() != recipe.base.tag:
            # The value of a variable stands in an ARG before the first FROM.
            line = dockerfile.instructions[0].line if "$" in written[image.line] else image.line
            yield Note(line, _outside(image.name))


def _outside(image: str) -> str:
    return f"{MARK} {image} comes from a registry or from the engine that builds; name one that is there."


def _on_model(
    recipe: Recipe, index: int, model: ModelSpec, exchange: ModelExchange | None, places: Sequence[str]
) -> Iterator[Note]:
    here = ("models", index)
    said = "the model, and which of its files are taken"
    if exchange:
        said = f"the files of {exchange.new_repo} that are taken; name, path and patterns are those for {exchange.old_repo}"
    path = f" The path stands in {', '.join(places)} too." if places else ""
    yield Note(_line(recipe, *here), f"{MARK} {said}.{path}")
    if exchange:
        for key in _bound_to_repo(model):
            yield _off(recipe, f"{MARK} it was meant for {exchange.old_repo}.", *here, key)


def _bound_to_repo(model: ModelSpec) -> Iterator[str]:
    """Keys of a model that mean nothing for another repo, or something wrong."""
    if model.revision != "main":
        yield "revision"
    if any(not isinstance(source, (str, EndpointSource)) for source in model.sources):
        yield "sources"
    if model.min_size:
        yield "min_size"
    if model.allow:
        yield "allow"


def _on_golden(recipe: Recipe, index: int, file: str, of: str | None, exchange: ModelExchange | None) -> Note:
    how = "by an independent reference: docs/checks.md of bundler"
    here = ("checks", index)
    if exchange:
        gone = f"What was recorded of {exchange.old_repo} is not here any more."
        return _off(recipe, f"{MARK} record {file} of {exchange.new_repo}, {how}. {gone}", *here)
    said = f"{file} was recorded of {of} as it is; of another model it is recorded again" if of else f"record {file}"
    return Note(_line(recipe, *here), f"{MARK} {said}, {how}.")


def _off(recipe: Recipe, said: str, *location: str | int) -> Note:
    return Note(_line(recipe, *location), said, _lines(recipe, location))


def _line(recipe: Recipe, *location: str | int) -> int:
    return recipe.lines[location]


def _lines(recipe: Recipe, location: Location) -> range:
    """The lines of a value: up to the next one, without what is said above that."""
    written = recipe.file.read_text("utf-8").splitlines()
    start = recipe.lines[location]
    others = [line for other, line in recipe.lines.items() if other[: len(location)] != location and line > start]
    end = min(others, default=len(written) + 1)
    while end - 1 > start and written[end - 2].strip()[:1] in ("", "#"):
        end -= 1
    return range(start, end)


def _column(line: str) -> int:
    return len(line) - len(line.lstrip())
