"""Simple commands as values, and where quotes and brackets of a shell's text end."""

from __future__ import annotations

from dataclasses import dataclass


class ShellFault(Exception):  # noqa: N818 -- a finding that the caller turns into its own
    """The text cannot be read; ``line`` is where what has no end begins."""

    def __init__(self, line: int, what: str) -> None:
        super().__init__(what)
        self.line = line
        self.what = what


@dataclass(frozen=True)
class ShellCommand:
    """A simple command: its words without their quotes, where it begins, what it is redirected to, its here-document."""

    words: tuple[str, ...]
    line: int
    column: int
    targets: tuple[str, ...] = ()
    body: str = ""
    body_line: int = 0


def behind_backquote(text: str, at: int) -> int:
    """The place behind the backquote that closes the one at ``at``; 0 where none does."""
    at += 1
    while at < len(text):
        if text[at] == "`":
            return at + 1
        at += 2 if text[at] == "\\" else 1
    return 0


def behind_bracket(text: str, at: int) -> int:
    """The place behind what closes the bracket at ``at``, quoted ones not counted; 0 where nothing does."""
    opens = text[at]
    closes, depth = {"(": ")", "{": "}"}[opens], 0
    while at < len(text):
        char = text[at]
        if char == "'" and opens == "(":
            at = text.find("'", at + 1)
            if at < 0:
                return 0
        elif char == '"':
            at = _behind_quote(text, at) - 1
            if at < 0:
                return 0
        elif char == "\\":
            at += 1
        depth += {opens: 1, closes: -1}.get(char, 0)
        at += 1
        if not depth:
            return at
    return 0


def _behind_quote(text: str, at: int) -> int:
    """The place behind the double quote that closes the one at ``at``; brackets in it may hold quotes of their own."""
    at += 1
    while at < len(text):
        if text[at] == '"':
            return at + 1
        if text.startswith(("$(", "${"), at):
            at = behind_bracket(text, at + 1)
            if not at:
                return 0
        else:
            at += 2 if text[at] == "\\" else 1
    return 0
