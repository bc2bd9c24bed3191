"""Command lines as words: which program they run in the end, what they set, and the programs that they hold as text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*\+?=")
_RESERVED = frozenset(["if", "then", "else", "elif", "do", "while", "until", "!", "{", "}", "time", "fi", "done"])
#: Programs that run the rest of their line, and how many words of their own they take beside options.
_WRAPPERS = {
    "exec": 0,
    "command": 0,
    "builtin": 0,
    "sudo": 0,
    "nohup": 0,
    "env": 0,
    "nice": 0,
    "setsid": 0,
    "stdbuf": 0,
    "xargs": 0,
    "tini": 0,
    "dumb-init": 0,
    "timeout": 1,
    "gosu": 1,
    "su-exec": 1,
    "runuser": 1,
    "retry": 1,
}
SHELLS = ("sh", "bash", "dash", "ash", "ksh", "zsh")
_PYTHON = re.compile(r"python(?:\d(?:\.\d+)?)?")


def program_of(words: Sequence[str]) -> list[str]:
    """The words from the program on: without reserved words, assignments and programs that only run another."""
    rest = list(words)
    while rest:
        name = _base(rest[0])
        if rest[0] in _RESERVED or _ASSIGNMENT.match(rest[0]):
            rest = rest[1:]
        elif name in _WRAPPERS:
            rest = _unwrapped(name, rest[1:])
        else:
            return [name, *rest[1:]]
    return []


def assignments_of(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Variables that the command sets, for itself or (`export`, `env`) for others."""
    setting = _base(words[0]) in ("export", "env", "declare", "readonly", "typeset", "local") if words else False
    for word in words:
        matched = _ASSIGNMENT.match(word)
        if matched:
            yield word[: matched.end()].rstrip("+="), word[matched.end() :]
        elif not setting and word not in _RESERVED and _base(word) not in _WRAPPERS:
            return


def removed_by(words: Sequence[str]) -> Iterator[str]:
    """Variables that the command takes away."""
    program = [_base(words[0]), *words[1:]] if words else []
    if program[:1] == ["unset"]:
        yield from (word for word in program[1:] if not word.startswith("-"))
    elif program[:1] == ["env"]:
        yield from (after for word, after in zip(program, program[1:]) if word in ("-u", "--unset"))


def script_in(words: Sequence[str]) -> str | None:
    """The text that a shell gets by ``-c``, or that `eval` joins; None for other commands."""
    program = program_of(words)
    if program[:1] == ["eval"]:
        return " ".join(program[1:])
    if program and (program[0] in SHELLS or program[0] == "su"):
        for word, after in zip(program[1:], program[2:]):
            if re.fullmatch(r"-[a-z]*c", word):
                return after
    return None


def python_in(words: Sequence[str]) -> str | None:
    """The program that an interpreter of Python gets by ``-c``, or None."""
    program = program_of(words)
    if program and _PYTHON.fullmatch(program[0]):
        return next((after for word, after in zip(program[1:], program[2:]) if word == "-c"), None)
    return None


def is_python(program: Sequence[str]) -> bool:
    """Whether the words begin with an interpreter of Python."""
    return bool(program) and _PYTHON.fullmatch(program[0]) is not None


def _unwrapped(name: str, rest: list[str]) -> list[str]:
    takes = _WRAPPERS[name]
    while rest and (rest[0].startswith("-") or (name == "env" and _ASSIGNMENT.match(rest[0]))):
        with_value = rest[0] in ("-u", "-g", "-n", "-k", "-s", "-I", "-L", "--unset", "--user") and "=" not in rest[0]
        rest = rest[2:] if with_value and name != "exec" else rest[1:]
    return rest[takes:]


def _base(word: str) -> str:
    return word.rpartition("/")[2]
