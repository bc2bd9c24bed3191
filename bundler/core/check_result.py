"""What a check found: the builder's papers and the installer's receipts speak of it in the same words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class CheckResult:
    """What a check found; ``kind`` is ``models`` or ``run``, ``detail`` says what was seen."""

    name: str
    kind: str
    passed: bool
    detail: str
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """The form in receipts and in ``--json``."""
        return {
            "name": self.name,
            "kind": self.kind,
            "passed": self.passed,
            "detail": self.detail,
            "seconds": max(round(self.seconds, 3), 0.001),
        }
