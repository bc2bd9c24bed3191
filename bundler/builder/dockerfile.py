"""What a Dockerfile needs, read before an engine is asked: stages, images from outside, features of the builder.

An honest parser, not a builder: it knows names and lines, and says what it cannot know (``FROM`` of an argument
without a value). Rules: Dockerfile reference, "FROM", "ARG", "COPY --from", "RUN --mount".
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from bundler.builder.dockerfile_lines import (
    DockerfileFault,
    Instruction,
    read_directives,
    read_instructions,
    words,
)

FeatureKind = Literal["mount", "secret", "ssh", "heredoc", "syntax", "flag"]
SCRATCH = "scratch"

_VARIABLE = re.compile(
    r"\\(?P<escaped>\$)|\$(?:(?P<bare>\w+)|\{(?P<name>\w+)(?:(?P<how>:?[-+])(?P<word>(?:[^{}]|\{[^{}]*\})*))?\})"
)
# Flags that the classic builder does not know. `--from`, `--chown` and `--platform` it does.
_BUILDKIT_FLAGS = {
    "COPY": {"chmod", "link", "parents", "exclude"},
    "ADD": {"chmod", "link", "checksum", "keep-git-dir", "exclude", "unpack"},
    "RUN": {"network", "security", "device"},
}


@dataclass(frozen=True)
class Stage:
    """One ``FROM``: ``parent`` is what it names after substitution, ``parent_stage`` an earlier stage if it is one."""

    index: int
    name: str | None
    parent: str
    parent_stage: int | None
    platform: str | None
    line: int


@dataclass(frozen=True)
class OutsideImage:
    """An image that no stage makes: named by ``FROM``, ``COPY --from`` or ``RUN --mount=from``."""

    name: str
    line: int
    keyword: str


@dataclass(frozen=True)
class Feature:
    """Something that not every builder can do, with its line; ``detail`` is a secret's id, a mount's type, a flag."""

    kind: FeatureKind
    line: int
    detail: str


@dataclass(frozen=True)
class Dockerfile:
    """A Dockerfile as read with its build arguments. ``name`` is used in messages, ``NAME:LINE``."""

    name: str
    instructions: tuple[Instruction, ...]
    stages: tuple[Stage, ...]
    outside: tuple[OutsideImage, ...]
    features: tuple[Feature, ...]

    def stage(self, target: str | None) -> Stage | None:
        """The stage of that name or number; the last one for None; None if there is no such stage."""
        if target is None:
            return self.stages[-1]
        return _find(self.stages, target)

    def origin(self, stage: Stage) -> Stage:
        """The stage whose ``FROM`` names the outside image that ``stage`` finally stands on."""
        while stage.parent_stage is not None:
            stage = self.stages[stage.parent_stage]
        return stage

    @property
    def secrets(self) -> tuple[str, ...]:
        """Ids of the build secrets that are mounted."""
        return tuple(sorted({each.detail for each in self.features if each.kind == "secret"}))


def parse_dockerfile(text: str, name: str, args: Mapping[str, str], platform: str) -> Dockerfile:
    """Read ``text``; ``args`` are the build arguments, ``platform`` is ``linux/ARCH``.

    Raises DockerfileFault with the line of the first thing that cannot be read.
    """
    lines = [line.rstrip("\r") for line in text.lstrip("\ufeff").split("\n")]
    directives = read_directives(lines, name)
    instructions = tuple(read_instructions(lines, directives.escape, name))
    stages = _stages(instructions, name, _platform_variables(platform), args)
    syntax = [Feature("syntax", line, value) for key, (value, line) in directives.values.items() if key == "syntax"]
    features = (*syntax, *(feature for each in instructions for feature in _features(each)))
    return Dockerfile(name, instructions, stages, _outside(instructions, stages, name), features)


def substitute(text: str, variables: Mapping[str, str]) -> str:
    """Replace ``$X``, ``${X}``, ``${X:-word}``, ``${X:+word}`` and their forms without colon; unset is empty."""

    def value(matched: re.Match[str]) -> str:
        if matched["escaped"]:
            return "$"
        name, how, word = matched["bare"] or matched["name"], matched["how"] or "", matched["word"] or ""
        found = variables.get(name)
        given = bool(found) if how.startswith(":") else found is not None
        if how.endswith("-"):
            return found or "" if given else substitute(word, variables)
        if how.endswith("+"):
            return substitute(word, variables) if given else ""
        return found or ""

    return _VARIABLE.sub(value, text)


def _platform_variables(platform: str) -> dict[str, str]:
    """Arguments that BuildKit predefines in the global scope; we build for one platform, on which we are."""
    system, _, architecture = platform.partition("/")
    values = {"PLATFORM": platform, "OS": system, "ARCH": architecture, "VARIANT": ""}
    return {f"{side}{key}": value for side in ("TARGET", "BUILD") for key, value in values.items()}


def _stages(
    instructions: tuple[Instruction, ...], name: str, variables: dict[str, str], args: Mapping[str, str]
) -> tuple[Stage, ...]:
    stages: list[Stage] = []
    for each in instructions:
        if each.keyword == "FROM":
            stages.append(_stage(each, stages, name, variables))
        elif not stages and each.keyword == "ARG":
            _declare(each, variables, args)
        elif not stages:
            raise DockerfileFault(f"{name}:{each.line}", f"{each.keyword} stands before FROM", "begin with FROM")
    if not stages:
        raise DockerfileFault(name, "there is no FROM", "begin with `FROM IMAGE`")
    return tuple(stages)


def _declare(instruction: Instruction, variables: dict[str, str], args: Mapping[str, str]) -> None:
    for word in words(instruction.arguments):
        key, equals, default = word.partition("=")
        if key in args:
            variables[key] = args[key]
        elif equals:
            variables[key] = substitute(_unquoted(default), variables)


def _unquoted(text: str) -> str:
    return text[1:-1] if len(text) >= 2 and text[0] == text[-1] and text[0] in "\"'" else text


def _stage(instruction: Instruction, before: list[Stage], name: str, variables: Mapping[str, str]) -> Stage:
    where = f"{name}:{instruction.line}"
    given = words(instruction.arguments)
    if not (len(given) == 1 or (len(given) == 3 and given[1].upper() == "AS")):
        raise DockerfileFault(where, f"not a FROM: {instruction.arguments!r}", "write FROM IMAGE or FROM IMAGE AS NAME")
    parent = substitute(_unquoted(given[0]), variables)
    if not parent:
        remedy = "give the argument a value: `ARG NAME=…` above FROM, or `args:` in the recipe"
        raise DockerfileFault(where, f"FROM {given[0]} names nothing", remedy)
    platform = instruction.flag("platform")
    found = _find_named(before, parent)
    return Stage(
        index=len(before),
        name=given[2].lower() if len(given) == 3 else None,
        parent=parent,
        parent_stage=found.index if found else None,
        platform=substitute(platform, variables) if platform else None,
        line=instruction.line,
    )


def _find_named(stages: list[Stage] | tuple[Stage, ...], name: str) -> Stage | None:
    return next((stage for stage in reversed(stages) if stage.name == name.lower()), None)


def _find(stages: list[Stage] | tuple[Stage, ...], name: str) -> Stage | None:
    """``COPY --from`` and targets take a stage's number too; ``FROM`` does not."""
    if name.isascii() and name.isdigit() and int(name) < len(stages):
        return stages[int(name)]
    return _find_named(stages, name)


def _outside(instructions: tuple[Instruction, ...], stages: tuple[Stage, ...], name: str) -> tuple[OutsideImage, ...]:
    found = [
        OutsideImage(stage.parent, stage.line, "FROM")
        for stage in stages
        if stage.parent_stage is None and stage.parent != SCRATCH
    ]
    for each in instructions:
        for source in _sources(each):
            if "$" in source:
                remedy = "name a stage, `FROM IMAGE AS NAME`, and take it from there"
                raise DockerfileFault(f"{name}:{each.line}", f"builders put no variable into from={source}", remedy)
            if _find(stages, source) is None:
                found.append(OutsideImage(source, each.line, each.keyword))
    return tuple(sorted(found, key=lambda image: image.line))


def _sources(instruction: Instruction) -> list[str]:
    if instruction.keyword == "COPY":
        source = instruction.flag("from")
        return [_unquoted(source)] if source else []
    return [mount["from"] for mount in _mounts(instruction) if mount.get("from")]


def _mounts(instruction: Instruction) -> list[dict[str, str]]:
    """``--mount=type=cache,target=/x`` as its keys; the list is comma-separated values, a bare key means true."""
    if instruction.keyword != "RUN":
        return []
    mounts = []
    for key, value in instruction.flags:
        if key == "mount":
            fields = next(csv.reader([_unquoted(value)]), [])
            pairs = [part.partition("=") for part in fields]
            mounts.append({field.strip().lower(): content if equals else "true" for field, equals, content in pairs})
    return mounts


def _features(instruction: Instruction) -> list[Feature]:
    found = []
    for mount in _mounts(instruction):
        kind = mount.get("type", "bind")
        found.append(Feature("mount", instruction.line, kind))
        if kind == "secret":
            secret = mount.get("id") or mount.get("target", "").rpartition("/")[2]
            found.append(Feature("secret", instruction.line, secret))
        elif kind == "ssh":
            found.append(Feature("ssh", instruction.line, mount.get("id") or "default"))
    if instruction.heredocs:
        found.append(Feature("heredoc", instruction.line, ", ".join(instruction.heredocs)))
    for key, _ in instruction.flags:
        if key in _BUILDKIT_FLAGS.get(instruction.keyword, ()):
            found.append(Feature("flag", instruction.line, f"{instruction.keyword} --{key}"))
    return found
