"""Dockerfiles: what the finished image starts with and is told, and addresses of model hosts anywhere in them.

What a RUN does while the image is built is no matter of these rules, and neither is a stage that the final one does
not stand on.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bundler.builder.dockerfile_lines import (
    DockerfileFault,
    Instruction,
    read_directives,
    read_instructions,
    words,
)
from bundler.builder.source_policy.environment import Surroundings, judge_variable
from bundler.builder.source_policy.findings import Spot
from bundler.builder.source_policy.hosts import model_host
from bundler.builder.source_policy.places import judge_mount
from bundler.builder.source_policy.rules import HUB_URL, NOT_READ
from bundler.builder.source_policy.shell import script_spots, scripts_called, words_spots
from bundler.builder.source_policy.shell_words import ShellCommand, ShellFault, read_commands

_STARTS = ("ENTRYPOINT", "CMD", "HEALTHCHECK")


@dataclass(frozen=True)
class DockerfileSource:
    """A Dockerfile as the rules read it: all instructions, and those that the final image comes from."""

    instructions: tuple[Instruction, ...]
    final: tuple[Instruction, ...]

    @property
    def variables(self) -> dict[str, str]:
        """What ENV sets in the final image."""
        return {name: value for each in self.final if each.keyword == "ENV" for name, value in _pairs(each.arguments)}

    @property
    def scripts(self) -> frozenset[str]:
        """Base names of what the final image starts."""
        found: set[str] = set()
        for each in self.final:
            if each.keyword in _STARTS:
                listed, line = _command(each)
                found.update(scripts_called([ShellCommand(tuple(listed), 1, 1)] if listed else _commands(line)))
        return frozenset(found)


def read_source(text: str) -> DockerfileSource:
    """Read the instructions; raises DockerfileFault whose problem names ``:LINE``."""
    lines = [line.rstrip("\r") for line in text.lstrip("\ufeff").split("\n")]
    directives = read_directives(lines, "")
    instructions = tuple(read_instructions(lines, directives.escape, ""))
    return DockerfileSource(instructions, _final(instructions))


def dockerfile_spots(text: str, surroundings: Surroundings) -> Iterator[Spot]:
    """Everything that is found in a Dockerfile."""
    try:
        source = read_source(text)
    except DockerfileFault as fault:
        line = fault.problem.where.rpartition(":")[2]
        yield Spot(NOT_READ, int(line) if line.isdigit() else 1, 1, f"not a Dockerfile: {fault.problem.what}")
        return
    lines = text.split("\n")
    for each in source.instructions:
        yield from _addresses(each, lines)
    for each in source.final:
        yield from _of_instruction(each, surroundings)


def _final(instructions: Sequence[Instruction]) -> tuple[Instruction, ...]:
    """The instructions of the last stage and of those that it stands on."""
    stages: list[list[Instruction]] = []
    for each in instructions:
        if each.keyword == "FROM":
            stages.append([])
        if stages:
            stages[-1].append(each)
    names = {_stage_name(stage[0]): number for number, stage in enumerate(stages)}
    chosen: list[Instruction] = []
    number: int | None = len(stages) - 1 if stages else None
    while number is not None:
        stage = stages[number]
        chosen = [*stage[1:], *chosen]
        parent = names.get((words(stage[0].arguments) or [""])[0].lower())
        number = parent if parent is not None and parent < number else None
    return tuple(chosen)


def _stage_name(instruction: Instruction) -> str:
    given = words(instruction.arguments)
    return given[2].lower() if len(given) == 3 else "\0"


def _addresses(instruction: Instruction, lines: Sequence[str]) -> Iterator[Spot]:
    if instruction.keyword in ("LABEL", "MAINTAINER"):
        return  # says where something came from
    if instruction.keyword == "RUN" and not instruction.heredocs:
        spots = script_spots(instruction.arguments, Surroundings(), starts=False, line=instruction.line)
        yield from (Spot(each.rule, instruction.line, 1, each.what) for each in spots if each.rule == HUB_URL)
        return
    for number in range(instruction.line, instruction.end_line + 1):
        line = lines[number - 1]
        host = None if line.lstrip().startswith("#") else model_host(line)
        if host is not None:
            yield Spot(HUB_URL, instruction.line, 1, f"an address of {host}")
            return


def _of_instruction(instruction: Instruction, surroundings: Surroundings) -> Iterator[Spot]:
    line = instruction.line
    if instruction.keyword in _STARTS:
        listed, text = _command(instruction)
        if listed:
            yield from words_spots(listed, line, 1, surroundings)
        else:
            spots = script_spots(text, surroundings, line=line)
            yield from (Spot(each.rule, line, 1, each.what, each.remedy) for each in spots)
    elif instruction.keyword == "ENV":
        for name, value in _pairs(instruction.arguments):
            verdict = judge_variable(name, value)
            if verdict is not None and verdict[0] != HUB_URL:
                yield Spot(verdict[0], line, 1, verdict[1])
    elif instruction.keyword == "VOLUME":
        for path in _listed(instruction.arguments) or words(instruction.arguments):
            yield from (Spot(rule, line, 1, what) for rule, what in judge_mount(path, "a volume", surroundings))


def _command(instruction: Instruction) -> tuple[list[str], str]:
    """The words of the exec form, or the text of the shell form."""
    text = instruction.arguments
    if instruction.keyword == "HEALTHCHECK":
        matched = re.match(r"CMD\s+(.*)", text, re.DOTALL | re.I)
        text = matched[1] if matched else ""
    return _listed(text), text


def _listed(text: str) -> list[str]:
    try:
        found = json.loads(text)
    except ValueError:
        return []
    return [str(each) for each in found] if isinstance(found, list) else []


def _commands(text: str) -> list[ShellCommand]:
    try:
        return read_commands(text)
    except ShellFault:
        return []


def _pairs(arguments: str) -> Iterator[tuple[str, str]]:
    """``K=V K="V 2"``, or the old form ``K V``."""
    parts = words(arguments)
    if parts and "=" not in parts[0]:
        yield parts[0], arguments[len(parts[0]) :].strip()
        return
    for part in parts:
        name, _, value = part.partition("=")
        yield name, value.strip("\"'")
