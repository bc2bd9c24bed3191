"""The linter: every source among some paths, what the sources say of each other, and all findings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bundler.builder.dockerfile_lines import DockerfileFault
from bundler.builder.recipe import RECIPE_FILE
from bundler.builder.source_policy.bindings import Module
from bundler.builder.source_policy.compose import (
    compose_spots,
    is_compose,
    recipe_facts,
    recipe_spots,
    service_facts,
    yaml_spots,
)
from bundler.builder.source_policy.dockerfiles import dockerfile_spots, read_source
from bundler.builder.source_policy.environment import Surroundings
from bundler.builder.source_policy.findings import Finding, Spot
from bundler.builder.source_policy.project import Project
from bundler.builder.source_policy.python import PythonFault, module_spots, read_module
from bundler.builder.source_policy.rules import NOT_READ
from bundler.builder.source_policy.shell import script_spots, scripts_called
from bundler.builder.source_policy.shell_words import ShellFault, read_commands
from bundler.builder.source_policy.sources import Source, find_sources
from bundler.builder.source_policy.waivers import Waived, apply, read_waivers


@dataclass(frozen=True)
class LintReport:
    """``files`` is how many were read; ``waived`` are findings that a waiver with a reason lets stand."""

    files: int
    findings: tuple[Finding, ...]
    waived: tuple[Waived, ...]

    def to_json(self) -> dict[str, object]:
        """The report for programs."""
        return {
            "files": self.files,
            "findings": [finding.to_json() for finding in self.findings],
            "waived": [{**each.finding.to_json(), "reason": each.reason} for each in self.waived],
        }


def lint_paths(paths: Iterable[Path]) -> LintReport:
    """Read everything at and below ``paths``."""
    return lint_sources(tuple(find_sources(paths)))


def lint_sources(sources: Sequence[Source], surroundings: Surroundings | None = None) -> LintReport:
    """Judge sources together: variables, starts and constants of one count for the others."""
    about = _surroundings(sources, surroundings or Surroundings())
    modules: dict[str, Module] = {}
    spots: dict[str, list[Spot]] = {}
    for source in sources:
        spots[source.name] = [Spot(NOT_READ, 1, 1, f"cannot be read: {source.fault}")] if source.fault else []
        if source.kind == "python" and not source.fault:
            try:
                modules[source.name] = read_module(source.content, _parts(source.name))
            except PythonFault as fault:
                spots[source.name].append(fault.spot)
    project = Project(modules.values())
    findings: list[Finding] = []
    waived: list[Waived] = []
    for source in sources:
        module = modules.get(source.name)
        more = module_spots(module, about, project) if module else _other_spots(source, about)
        found = _distinct(spot.at(source.name) for spot in [*spots[source.name], *more])
        left, stands = apply(found, read_waivers(source.text, python=source.kind == "python"), source.name)
        findings += left
        waived += stands
    return LintReport(len(sources), tuple(sorted(findings)), tuple(waived))


def _other_spots(source: Source, about: Surroundings) -> Iterator[Spot]:
    if source.fault:
        return
    if source.kind == "shell":
        yield from script_spots(source.text, about, starts=source.given or about.starts(source.base))
    elif source.kind == "dockerfile":
        yield from dockerfile_spots(source.text, about)
    elif source.kind == "yaml" and source.base == RECIPE_FILE:
        yield from recipe_spots(source.content)
    elif source.kind == "yaml" and is_compose(source.content):
        yield from compose_spots(source.content, about)
    elif source.kind == "yaml":
        yield from yaml_spots(source.text)


def _surroundings(sources: Sequence[Source], given: Surroundings) -> Surroundings:
    """What Dockerfiles, compose files and recipes say about all of the sources."""
    variables = dict(given.variables)
    paths = list(given.model_paths)
    scripts: set[str] | None = None if given.scripts is None else set(given.scripts)
    for source in sources:
        started: frozenset[str] | None = None
        if source.kind == "dockerfile":
            try:
                read = read_source(source.text)
            except DockerfileFault:
                continue
            variables.update(read.variables)
            started = read.scripts
        elif source.kind == "yaml" and source.base == RECIPE_FILE:
            model_paths, own = recipe_facts(source.content)
            paths += model_paths
            variables.update(own)
        elif source.kind == "yaml" and is_compose(source.content):
            own, started = service_facts(source.content)
            variables.update(own)
        if started:
            scripts = (scripts or set()) | started
    return Surroundings(variables, tuple(paths), None if scripts is None else _with_called(scripts, sources))


def _with_called(scripts: set[str], sources: Sequence[Source]) -> frozenset[str]:
    """The scripts that start, and those that they call."""
    by_name = {source.base: source for source in sources if source.kind == "shell"}
    waiting, reached = set(scripts), set(scripts)
    while waiting:
        source = by_name.get(waiting.pop())
        called = set(_called(source)) - reached if source is not None else set()
        waiting |= called
        reached |= called
    return frozenset(reached)


def _called(source: Source) -> Iterator[str]:
    try:
        yield from scripts_called(read_commands(source.text))
    except ShellFault:
        return


def _parts(name: str) -> tuple[str, ...]:
    """The dotted name that a file's path gives; a package's own file is the package."""
    parts = Path(name).with_suffix("").parts
    return parts[:-1] if parts[-1:] == ("__init__",) else parts


def _distinct(found: Iterable[Finding]) -> Iterator[Finding]:
    """One finding for a rule and a place: a name that three calls load is one fallback."""
    seen: set[tuple[str, int, int]] = set()
    for each in found:
        key = (each.rule, each.line, each.column)
        if key not in seen:
            seen.add(key)
            yield each
