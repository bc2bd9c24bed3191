"""Lines of a Dockerfile as instructions: parser directives, comments, continuation, heredocs, with line numbers.

Follows BuildKit's ``frontend/dockerfile/parser`` (``parser.go``, ``directives.go``), which the Dockerfile reference
describes; what it would refuse is refused here too, before an engine is asked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from bundler.core.errors import Problem

_DIRECTIVE = re.compile(r"#\s*([A-Za-z][A-Za-z0-9]*)\s*=\s*(.+?)\s*")
_KEYWORD = re.compile(r"([A-Za-z]+)(?:\s+(.*))?", re.DOTALL)
_FLAG = re.compile(r"--([A-Za-z][A-Za-z0-9-]*)(?:=((?:[^\s\"']|\"[^\"]*\"|'[^']*')*))?(?:\s+|$)")
_WORD = re.compile(r"(?:[^\s\"'\\]|\\.|\"(?:\\.|[^\"\\])*\"|'[^']*')+", re.DOTALL)
_HEREDOC = re.compile(r"\d*<<(-?)([^<\s]+)")
_KNOWN_DIRECTIVES = ("syntax", "escape", "check")
_WITH_HEREDOCS = ("RUN", "COPY", "ADD")
KEYWORDS = frozenset(
    [
        "ADD",
        "ARG",
        "CMD",
        "COPY",
        "ENTRYPOINT",
        "ENV",
        "EXPOSE",
        "FROM",
        "HEALTHCHECK",
        "LABEL",
        "MAINTAINER",
        "ONBUILD",
        "RUN",
        "SHELL",
        "STOPSIGNAL",
        "USER",
        "VOLUME",
        "WORKDIR",
    ]
)


class DockerfileFault(Exception):  # noqa: N818 -- a finding that the caller turns into its own error
    """A Dockerfile that cannot be read; ``problem`` names the line."""

    def __init__(self, where: str, what: str, remedy: str) -> None:
        super().__init__(what)
        self.problem = Problem(where, what, remedy)


@dataclass(frozen=True)
class Instruction:
    """One instruction with its flags; lines count from 1 and ``end_line`` includes heredocs."""

    keyword: str
    flags: tuple[tuple[str, str], ...]
    arguments: str
    line: int
    end_line: int
    heredocs: tuple[str, ...] = ()

    def flag(self, name: str) -> str | None:
        """Value of the last flag of that name, or None."""
        return next((value for key, value in reversed(self.flags) if key == name), None)


@dataclass(frozen=True)
class Directives:
    """Parser directives of the first lines, each with the line it stands on."""

    values: Mapping[str, tuple[str, int]] = field(default_factory=dict)

    @property
    def escape(self) -> str:
        """The character that continues a line."""
        return self.values["escape"][0] if "escape" in self.values else "\\"


def read_directives(lines: Sequence[str], name: str) -> Directives:
    """Directives end at the first line that is not one; raises DockerfileFault for a twofold or wrong one."""
    found: dict[str, tuple[str, int]] = {}
    for number, line in enumerate(lines, start=1):
        matched = _DIRECTIVE.fullmatch(line.strip())
        if matched is None or matched[1].lower() not in _KNOWN_DIRECTIVES:
            break
        key = matched[1].lower()
        if key in found:
            raise DockerfileFault(f"{name}:{number}", f"the directive `{key}` stands here twice", "keep one of them")
        found[key] = (matched[2], number)
    escape, number = found.get("escape", ("\\", 0))
    if escape not in ("\\", "`"):
        raise DockerfileFault(f"{name}:{number}", f"escape={escape} is not possible", "use escape=\\ or escape=`")
    return Directives(found)


def read_instructions(lines: Sequence[str], escape: str, name: str) -> Iterator[Instruction]:
    """Instructions in their order; raises DockerfileFault for an unknown one or a heredoc without an end."""
    at = 0
    while at < len(lines):
        if _is_blank(lines[at]):
            at += 1
            continue
        start = at
        text, at = _logical_line(lines, at, escape)
        if not text:
            continue
        keyword, flags, arguments = _split(text, f"{name}:{start + 1}")
        heredocs, at = _heredocs(keyword, arguments, lines, at, f"{name}:{start + 1}")
        yield Instruction(keyword, flags, arguments, start + 1, at, heredocs)


def words(text: str) -> list[str]:
    """Words as a shell separates them, quotes kept."""
    return _WORD.findall(text)


def _is_blank(line: str) -> bool:
    return not line.strip() or line.lstrip().startswith("#")


def _logical_line(lines: Sequence[str], at: int, escape: str) -> tuple[str, int]:
    """Join continued lines; comments and empty lines between them are left out, as BuildKit does."""
    continued = re.compile(rf"(?:(?<=[^{re.escape(escape)}])|^){re.escape(escape)}[ \t]*$")
    joined = ""
    while at < len(lines):
        line, first = lines[at], not joined
        at += 1
        if not first and _is_blank(line):
            continue
        joined += continued.sub("", line.strip() if first else line)
        if not continued.search(line.rstrip()):
            break
    return joined.strip(), at


def _split(text: str, where: str) -> tuple[str, tuple[tuple[str, str], ...], str]:
    matched = _KEYWORD.match(text)
    keyword = matched[1].upper() if matched else text.split(maxsplit=1)[0]
    if keyword not in KEYWORDS:
        raise DockerfileFault(where, f"unknown instruction {keyword!r}", "see the Dockerfile reference for what exists")
    rest = (matched[2] if matched else "") or ""
    flags = []
    while flag := _FLAG.match(rest):
        flags.append((flag[1], flag[2] or ""))
        rest = rest[flag.end() :]
    return keyword, tuple(flags), rest.strip()


def _heredocs(keyword: str, arguments: str, lines: Sequence[str], at: int, where: str) -> tuple[tuple[str, ...], int]:
    """Skip the bodies of the heredocs that the arguments open; returns their names and the next line."""
    names = []
    for word in words(arguments) if keyword in _WITH_HEREDOCS else ():
        matched = _HEREDOC.fullmatch(word)
        if matched is None:
            continue
        end = matched[2].strip("\"'")
        at = _end_of_heredoc(lines, at, end, bool(matched[1]), where)
        names.append(end)
    return tuple(names), at


def _end_of_heredoc(lines: Sequence[str], at: int, end: str, tabs: bool, where: str) -> int:
    for number in range(at, len(lines)):
        if (lines[number].lstrip("\t") if tabs else lines[number]) == end:
            return number + 1
    raise DockerfileFault(where, f"the heredoc <<{end} has no end", f"add a line that holds {end} alone")
