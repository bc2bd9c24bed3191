"""Waivers: comments that let a finding stand, with a reason. One that says nothing, or waives nothing, is a finding."""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from bundler.builder.source_policy.findings import Finding, Spot
from bundler.builder.source_policy.rules import RULES, WAIVER

_WAIVER = re.compile(r"#\s*bundler:\s*allow\b[ \t:]*(?P<rules>[a-z-]+(?:\s*,\s*[a-z-]+)*)?[ \t:]*(?P<reason>.*)")
_COMMENT = re.compile(r"(?:^|(?<=\s))#.*")


@dataclass(frozen=True)
class Waiver:
    """``line`` is where it is written, ``covers`` the lines for which it holds, ``rules`` what it lets stand."""

    line: int
    column: int
    covers: frozenset[int]
    rules: tuple[str, ...]
    reason: str

    def allows(self, finding: Finding) -> bool:
        """Whether it lets the finding stand."""
        return finding.line in self.covers and finding.rule in self.rules


@dataclass(frozen=True)
class Waived:
    """A finding that stands, and why."""

    finding: Finding
    reason: str


def read_waivers(text: str, *, python: bool = False) -> tuple[Waiver, ...]:
    """The waivers of a file. Python's comments are told from texts that look like one, others' by a blank before #."""
    lines = text.split("\n")
    comments = _python_comments(text) if python else None
    found = comments if comments is not None else list(_comments(lines))
    return tuple(_waiver(line, column, comment, lines) for line, column, comment in found if _WAIVER.match(comment))


def apply(found: Iterable[Finding], waivers: Sequence[Waiver], file: str) -> tuple[list[Finding], list[Waived]]:
    """What is left of the findings, with those about waivers; and what was waived."""
    left: list[Finding] = []
    waived: list[Waived] = []
    used: set[tuple[int, str]] = set()
    for finding in found:
        waiver = next((each for each in waivers if each.allows(finding)), None)
        if waiver is None:
            left.append(finding)
            continue
        used.add((waiver.line, finding.rule))
        if waiver.reason:
            waived.append(Waived(finding, waiver.reason))
        else:
            left.append(finding)
    left += [spot.at(file) for waiver in waivers for spot in _faults(waiver, used)]
    return left, waived


def _faults(waiver: Waiver, used: set[tuple[int, str]]) -> Iterator[Spot]:
    if not waiver.rules:
        yield Spot(WAIVER, waiver.line, waiver.column, "a waiver that names no rule")
    elif not waiver.reason:
        yield Spot(WAIVER, waiver.line, waiver.column, f"a waiver of {', '.join(waiver.rules)} without a reason")
    for rule in waiver.rules:
        if rule not in RULES or rule == WAIVER:
            yield Spot(WAIVER, waiver.line, waiver.column, f"there is no rule {rule} that can be waived")
        elif (waiver.line, rule) not in used:
            yield Spot(WAIVER, waiver.line, waiver.column, f"a waiver of {rule}, and nothing there breaks that rule")


def _waiver(line: int, column: int, comment: str, lines: Sequence[str]) -> Waiver:
    matched = _WAIVER.match(comment)
    rules = re.split(r"\s*,\s*", matched["rules"]) if matched and matched["rules"] else []
    reason = matched["reason"].strip() if matched else ""
    covers = {line}
    if lines[line - 1][: column - 1].strip() == "":
        # A comment on a line of its own speaks of the next line that is none.
        following = line + 1
        while following <= len(lines) and lines[following - 1].lstrip().startswith("#"):
            following += 1
        covers.add(following)
    return Waiver(line, column, frozenset(covers), tuple(rules), reason if re.search(r"\w", reason) else "")


def _comments(lines: Sequence[str]) -> Iterator[tuple[int, int, str]]:
    for number, line in enumerate(lines, start=1):
        for matched in _COMMENT.finditer(line):
            comment = matched[0]
            place = comment.find("# bundler:")
            at = place if place > 0 else 0
            yield number, matched.start() + at + 1, comment[at:]


def _python_comments(text: str) -> list[tuple[int, int, str]] | None:
    """The comments as Python sees them; None where it cannot be read to its end."""
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))
    except (tokenize.TokenError, SyntaxError, ValueError):
        return None
    return [(each.start[0], each.start[1] + 1, each.string) for each in tokens if each.type == tokenize.COMMENT]
