"""The sources of a recipe: its Dockerfiles, its payload, and what of its build contexts is a program."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from bundler.builder.engine_build.context import context_files, read_ignore
from bundler.builder.payload import payload_of
from bundler.builder.recipe import RECIPE_FILE, BuildSpec, Recipe
from bundler.builder.source_policy.findings import Finding
from bundler.builder.source_policy.lint import lint_sources
from bundler.builder.source_policy.rules import WRITES
from bundler.builder.source_policy.sources import SKIPPED, Source, read_source_file
from bundler.core.errors import CheckError, Problem
from bundler.core.progress import Progress

_PROGRAMS = ("python", "shell")


def require_clean_sources(recipe: Recipe, progress: Progress) -> None:
    """Raise CheckError with everything in the recipe's own sources that would call out when it runs."""
    sources = sources_of(recipe)
    progress.note(f"{len(sources)} of the recipe's own sources are read for what would call out")
    dockerfiles = {source.name for source in sources if source.kind == "dockerfile"}
    # Volumes of Dockerfiles are held against the models in the finished image, which knows where they really are.
    found = lint_sources(sources).findings
    require_none(
        [each for each in found if not (each.rule == WRITES and each.file in dockerfiles)], str(recipe.directory)
    )


def require_none(found: Iterable[Finding], where: str) -> None:
    """Raise CheckError if there are findings."""
    problems = [Problem(each.where, f"{each.rule}: {each.what}", each.instead) for each in found]
    if problems:
        count = "one finding" if len(problems) == 1 else f"{len(problems)} findings"
        raise CheckError(
            f"the sources have {count}: what runs without a network must not look for it",
            where=where,
            remedy="write what the lines say; where one has to stand, `# bundler: allow RULE reason` above it",
            problems=problems,
        )


def sources_of(recipe: Recipe) -> tuple[Source, ...]:
    """Every source once, by its path in the recipe's directory; what cannot be read is a source with a fault."""
    found: dict[str, Source] = {}
    for path in _paths(recipe):
        name = path.relative_to(recipe.directory).as_posix() if path.is_relative_to(recipe.directory) else str(path)
        source = read_source_file(path)
        if source is not None and name not in found:
            found[name] = Source(name, source.kind, source.content, source.fault)
    return tuple(found.values())


def _paths(recipe: Recipe) -> Iterator[Path]:
    builds = [each for each in (recipe.base, *recipe.apps) if isinstance(each, BuildSpec)]
    yield recipe.directory / RECIPE_FILE
    yield from (recipe.path_of(each.dockerfile) for each in builds)
    yield from (recipe.directory / file.path for file in payload_of(recipe))
    for each in builds:
        context = recipe.path_of(each.context)
        for name in context_files(context, read_ignore(context, recipe.path_of(each.dockerfile))):
            if not SKIPPED.intersection(PurePosixPath(name).parts) and _is_program(context / name):
                yield context / name


def _is_program(path: Path) -> bool:
    """Other files of a context become what the Dockerfile makes of them."""
    source = read_source_file(path)
    return source is not None and source.kind in _PROGRAMS
