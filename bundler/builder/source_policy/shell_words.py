"""Commands of a shell script, with their lines: quotes, comments, substitutions, here-documents.

Enough of the POSIX shell's grammar (IEEE 1003.1, "Shell Command Language") to tell a command from a text that only
looks like one. Compound commands are not understood, their parts are: each simple command is one, whatever decides
about it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from bundler.builder.source_policy.shell_text import ShellCommand, ShellFault, behind_backquote, behind_bracket

__all__ = ["ShellCommand", "ShellFault", "read_commands"]

_ASSIGNMENT_ARRAY = re.compile(r"\w+\+?=")
_ENDS = ";&|\n()"
_HEREDOC = re.compile(r"<<(-?)[ \t]*(\\?[\w.]+|'[^'\n]*'|\"[^\"\n]*\")")


def read_commands(text: str, line: int = 1) -> list[ShellCommand]:
    """Every command of ``text``, whose first line has the number ``line``; raises ShellFault."""
    try:
        return _Reader(text, line).read()
    except RecursionError as error:
        raise ShellFault(line, "it is too deeply nested") from error


@dataclass
class _Open:
    """The command that is being read."""

    words: list[str]
    targets: list[str]
    line: int = 0
    column: int = 0
    redirected: bool = False


class _Reader:
    def __init__(self, text: str, line: int) -> None:
        self._text = text.replace("\r\n", "\n")
        self._first = line
        self._at = 0
        self._counted = (0, line)
        self._word: str | None = None
        self._open = _Open([], [])
        self._found: list[ShellCommand] = []
        self._pipeline = 0
        self._depth = 0
        self._heredocs: list[tuple[str, bool]] = []

    def read(self) -> list[ShellCommand]:
        while self._at < len(self._text):
            self._step()
        self._end_command()
        return self._found

    def _step(self) -> None:
        text, at = self._text, self._at
        char = text[at]
        if self._word is None and char == "#":
            end = text.find("\n", at)
            self._at = len(text) if end < 0 else end
        elif char in " \t":
            self._end_word()
            self._at += 1
        elif text.startswith("\\\n", at):
            self._at += 2
        elif self._open.words[:1] == ["[["] and char != "\n" and char in "();&|<>":
            self._add(char, 1)
        elif char in "<>" or text.startswith("&>", at):
            self._redirect()
        elif char in _ENDS:
            self._end_at(char)
        else:
            self._part(char)

    def _part(self, char: str) -> None:
        """One character, or a quoted or substituted part, of a word."""
        text, at = self._text, self._at
        if char == "\\":
            self._add(text[at + 1 : at + 2], 2)
        elif char == "'":
            end = self._behind(text.find("'", at + 1) + 1, "a quote")
            self._add(text[at + 1 : end - 1], end - at)
        elif char == '"':
            self._quoted()
        elif text.startswith("$(", at) or char == "`" or text.startswith("${", at):
            self._substituted()
        else:
            self._add(char, 1)

    def _add(self, part: str, length: int) -> None:
        if self._word is None:
            self._word = ""
            if not self._open.words and not self._open.targets:
                self._open.line, self._open.column = self._line(), self._at - self._text.rfind("\n", 0, self._at)
        self._word += part
        self._at += length

    def _quoted(self) -> None:
        begin = self._at
        self._add("", 1)
        while self._at < len(self._text):
            char = self._text[self._at]
            if char == '"':
                self._at += 1
                return
            if char == "\\":
                escaped = self._text[self._at + 1 : self._at + 2]
                self._add("" if escaped == "\n" else escaped, 2)
            elif self._text.startswith(("$(", "${"), self._at) or char == "`":
                self._substituted()
            else:
                self._add(char, 1)
        raise ShellFault(self._line(begin), "a quote that begins here has no end")

    def _substituted(self) -> None:
        """``$(…)`` and backquotes hold commands of their own; ``${…}`` and arithmetic are kept as they stand."""
        text, at = self._text, self._at
        inside: str | None = None
        if text[at] == "`":
            end = self._behind(behind_backquote(text, at), "a backquote")
            inside = re.sub(r"\\([`$\\])", r"\1", text[at + 1 : end - 1])
        else:
            end = self._behind(behind_bracket(text, at + 1), "a bracket")
            if text[at + 1] == "(" and not text.startswith("$((", at):
                inside = text[at + 2 : end - 1]
        if inside is not None:
            self._found += read_commands(inside, self._line())
        self._add("$()" if inside is not None else text[at:end], end - at)

    def _redirect(self) -> None:
        heredoc = _HEREDOC.match(self._text, self._at)
        if self._word is not None and self._word.isdigit():
            self._word = None
        self._end_word()
        if heredoc and not self._text.startswith("<<<", self._at):
            self._heredocs.append((heredoc[2].strip("'\"\\"), bool(heredoc[1])))
            self._at = heredoc.end()
            return
        while self._at < len(self._text) and self._text[self._at] in "<>&|":
            self._at += 1
        if self._text.startswith("(", self._at):
            return  # process substitution: its commands are commands
        self._open.redirected = True

    def _end_at(self, char: str) -> None:
        text, at = self._text, self._at
        if char == "(" and self._word is not None and _ASSIGNMENT_ARRAY.fullmatch(self._word):
            self._add("()", self._behind(behind_bracket(text, at), "a list") - at)
            return
        if char == "(" and not self._open.words and self._word is None and text.startswith("((", at):
            self._at = self._behind(behind_bracket(text, at), "arithmetic")
            return
        if char == "(" and re.match(r"\(\s*\)", text[at : at + 20]):
            self._word, self._open = None, _Open([], [])  # a function's name
            self._at = text.index(")", at) + 1
            return
        if char == ")" and not self._depth:
            # What `case` compares with, not commands.
            self._word, self._open = None, _Open([], [])
            del self._found[self._pipeline :]
        self._depth = max(0, self._depth + {"(": 1, ")": -1}.get(char, 0))
        self._end_command()
        self._at += 1
        if char != "|":
            self._pipeline = len(self._found)
        if char == "\n" and self._heredocs:
            self._bodies()

    def _bodies(self) -> None:
        """The here-documents that the line before has opened; the last command of that line gets them."""
        for end, tabs in self._heredocs:
            begin, lines = self._at, []
            while True:
                if self._at >= len(self._text):
                    raise ShellFault(self._line(begin - 1), f"the here-document {end} has no end")
                stop = self._text.find("\n", self._at)
                stop = len(self._text) if stop < 0 else stop
                line = self._text[self._at : stop]
                self._at = stop + 1
                if (line.lstrip("\t") if tabs else line) == end:
                    break
                lines.append(line)
            if self._found:
                last = self._found[-1]
                body = "\n".join(lines)
                place = self._line(begin)
                self._found[-1] = ShellCommand(last.words, last.line, last.column, last.targets, body, place)
        self._heredocs = []

    def _end_word(self) -> None:
        if self._word is not None:
            (self._open.targets if self._open.redirected else self._open.words).append(self._word)
            self._open.redirected = False
        self._word = None

    def _end_command(self) -> None:
        self._end_word()
        done = self._open
        if done.words or done.targets:
            self._found.append(ShellCommand(tuple(done.words), done.line, done.column, tuple(done.targets)))
        self._open = _Open([], [])

    def _behind(self, end: int, called: str) -> int:
        """The place behind something that may have no end (0)."""
        if not end:
            raise ShellFault(self._line(), f"{called} that begins here has no end")
        return end

    def _line(self, at: int | None = None) -> int:
        at = self._at if at is None else at
        known, line = self._counted if at >= self._counted[0] else (0, self._first)
        self._counted = (at, line + self._text.count("\n", known, at))
        return self._counted[1]
