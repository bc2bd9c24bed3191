"""A finding: a rule, where it was broken, and by what."""

from __future__ import annotations

from dataclasses import dataclass, field

from bundler.builder.source_policy.rules import RULES


@dataclass(frozen=True, order=True)
class Finding:
    """``line`` and ``column`` count from 1; ``what`` says what stands there and what is known of it.

    ``remedy`` is empty where the rule's own sentence is the best one.
    """

    file: str
    line: int
    column: int
    rule: str
    what: str
    remedy: str = field(default="", compare=False)

    @property
    def why(self) -> str:
        """Why it matters: the rule's own sentence."""
        return RULES[self.rule].why

    @property
    def instead(self) -> str:
        """What to write instead."""
        return self.remedy or RULES[self.rule].instead

    @property
    def where(self) -> str:
        """``FILE:LINE:COLUMN``."""
        return f"{self.file}:{self.line}:{self.column}"

    def to_json(self) -> dict[str, object]:
        """The finding for programs."""
        return {
            "rule": self.rule,
            "file": self.file,
            "line": self.line,
            "column": self.column,
            "what": self.what,
            "why": self.why,
            "instead": self.instead,
        }


@dataclass(frozen=True)
class Spot:
    """What a reader found before the file's name is put to it."""

    rule: str
    line: int
    column: int
    what: str
    remedy: str = ""

    def at(self, file: str) -> Finding:
        """The finding in ``file``."""
        return Finding(file, self.line, self.column, self.rule, self.what, self.remedy)
