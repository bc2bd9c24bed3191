"""Shell scripts, and command lines that stand elsewhere: what they fetch, set and ask for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from bundler.builder.source_policy.command_words import (
    SHELLS,
    assignments_of,
    is_python,
    program_of,
    python_in,
    removed_by,
    script_in,
)
from bundler.builder.source_policy.commands import judge_command, judge_target, model_hosts_in
from bundler.builder.source_policy.environment import Surroundings, judge_removal, judge_variable
from bundler.builder.source_policy.findings import Spot
from bundler.builder.source_policy.python import python_spots
from bundler.builder.source_policy.rules import HUB_URL, NOT_READ
from bundler.builder.source_policy.shell_words import ShellCommand, ShellFault, read_commands

_DEPTH = 5


def script_spots(text: str, surroundings: Surroundings, *, starts: bool = True, line: int = 1) -> Iterator[Spot]:
    """What a script holds. One that does not run at the start is looked at for addresses of model hosts alone."""
    try:
        commands = read_commands(text, line)
    except ShellFault as fault:
        yield Spot(NOT_READ, fault.line, 1, f"not a shell script that can be read: {fault.what}")
        return
    for command in commands:
        yield from command_spots(command, surroundings, starts=starts)


def words_spots(words: Sequence[str], line: int, column: int, surroundings: Surroundings) -> Iterator[Spot]:
    """A command line that is given as a list of words, and runs at the start."""
    yield from command_spots(ShellCommand(tuple(words), line, column), surroundings)


def command_spots(
    command: ShellCommand, surroundings: Surroundings, *, starts: bool = True, depth: int = 0
) -> Iterator[Spot]:
    """One command, and the program texts that it holds."""
    yield from (
        Spot(HUB_URL, command.line, command.column, f"an address of {host}") for host in model_hosts_in(command.words)
    )
    if not starts:
        return
    verdicts = [*judge_command(command.words), *_of_variables(command.words)]
    verdicts += [verdict for target in command.targets if (verdict := judge_target(target))]
    yield from (Spot(rule, command.line, command.column, what) for rule, what in verdicts if rule != HUB_URL)
    if depth < _DEPTH:
        yield from _of_inner(command, surroundings, depth + 1)


def scripts_called(commands: Iterable[ShellCommand]) -> Iterator[str]:
    """Base names of everything that the commands run or hand to an interpreter."""
    for command in commands:
        program = program_of(command.words)
        inner = script_in(command.words)
        if inner is not None:
            yield from scripts_called(_commands_or_none(inner))
        yield from (word.rpartition("/")[2] for word in program[:8])


def _commands_or_none(text: str) -> list[ShellCommand]:
    try:
        return read_commands(text)
    except ShellFault:
        return []


def _of_variables(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    for name, value in assignments_of(words):
        verdict = judge_variable(name, value)
        if verdict is not None:
            yield verdict
    for name in removed_by(words):
        verdict = judge_removal(name)
        if verdict is not None:
            yield verdict


def _of_inner(command: ShellCommand, surroundings: Surroundings, depth: int) -> Iterator[Spot]:
    program = program_of(command.words)
    script, code = script_in(command.words), python_in(command.words)
    line = command.line
    if command.body and program and program[0] in SHELLS:
        script, line = command.body, command.body_line
    elif command.body and is_python(program):
        code, line = command.body, command.body_line
    if script is not None:
        for inner in _commands_or_none(script):
            place = inner.line - 1 + line if line != command.line else line
            moved = ShellCommand(inner.words, place, command.column, inner.targets, inner.body, inner.body_line)
            yield from command_spots(moved, surroundings, depth=depth)
    if code is not None:
        for spot in python_spots(code, surroundings):
            place = spot.line - 1 + line if line != command.line else line
            yield Spot(spot.rule, place, command.column, spot.what, spot.remedy)
