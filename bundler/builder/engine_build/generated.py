"""The Dockerfile that a builder really gets: the user's, line for line, with private tags where it names images.

Line numbers stay, so that a builder's messages point to the user's lines.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from bundler.builder.dockerfile import SCRATCH, Dockerfile, Stage
from bundler.builder.dockerfile_lines import Instruction, words
from bundler.core.errors import BuildError


@dataclass(frozen=True)
class Parents:
    """Private tags: for the ``FROM`` of a stage by its index, and for images in ``COPY`` and ``RUN`` by their name."""

    stages: Mapping[int, str]
    sources: Mapping[str, str]
    names: Mapping[str, str]
    """What the Dockerfile calls each of them, by tag."""


def generate(text: str, dockerfile: Dockerfile, parents: Parents) -> str:
    """``text`` with its outside images replaced and its ``# syntax`` line left away.

    Raises BuildError where a name stands so that it cannot be replaced.
    """
    lines = text.lstrip("\ufeff").replace("\r\n", "\n").split("\n")
    _drop_syntax(lines, dockerfile)
    stages = iter(dockerfile.stages)
    for instruction in dockerfile.instructions:
        if instruction.keyword == "FROM":
            _replace_from(lines, instruction, next(stages), parents.stages)
        elif instruction.keyword in ("COPY", "RUN"):
            _replace_sources(lines, instruction, dockerfile, parents.sources)
    return "\n".join(lines)


def _drop_syntax(lines: list[str], dockerfile: Dockerfile) -> None:
    """The builder's own frontend is used; what stands after the line must stay the first, if it is a directive."""
    wanted = {each.line for each in dockerfile.features if each.kind == "syntax"}
    for number in wanted:
        end = number
        while end < len(lines) and re.fullmatch(r"#\s*[A-Za-z]+\s*=.*", lines[end].strip()):
            end += 1
        lines[number - 1 : end] = [*lines[number:end], "#"]


def _replace_from(lines: list[str], instruction: Instruction, stage: Stage, tags: Mapping[int, str]) -> None:
    if stage.parent_stage is not None or stage.index not in tags:
        return
    name = words(instruction.arguments)[2:]
    new = f"FROM {tags[stage.index]}" + (f" AS {name[0]}" if name else "")
    count = instruction.end_line - instruction.line + 1
    lines[instruction.line - 1 : instruction.end_line] = [new, *[""] * (count - 1)]


def _replace_sources(
    lines: list[str], instruction: Instruction, dockerfile: Dockerfile, tags: Mapping[str, str]
) -> None:
    outside = {each.name for each in dockerfile.outside if each.line == instruction.line and each.keyword != "FROM"}
    span = slice(instruction.line - 1, instruction.end_line)
    for name in sorted(outside - {SCRATCH}):
        # Flags stand before everything else, so the first places are the right ones.
        count = sum(_names(value, name) for key, value in instruction.flags if key in ("from", "mount"))
        pattern = re.compile(rf"(\bfrom=)([\"']?){re.escape(name)}(?=[\s,\"']|$)", re.IGNORECASE | re.MULTILINE)
        text, replaced = pattern.subn(rf"\g<1>\g<2>{tags[name]}", "\n".join(lines[span]), count)
        if replaced != max(count, 1):
            raise BuildError(
                f"the image {name} is named in a way that bundler cannot replace",
                where=f"{dockerfile.name}:{instruction.line}",
                remedy=f"write from={name} in one piece, without a line's end in it",
            )
        lines[span] = text.split("\n")


def _names(value: str, name: str) -> int:
    """Whether a flag's value (``IMAGE`` of --from, or the fields of a --mount) names the image."""
    bare = value.strip("\"'")
    return int(bare == name or any(part.strip().lower() == f"from={name}".lower() for part in bare.split(",")))
