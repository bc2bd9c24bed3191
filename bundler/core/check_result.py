"""What a check found: the builder's papers and the installer's receipts speak of it in the same words."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Optional

from bundler.core.egress import TRIPWIRE, NoEgress


@dataclass(frozen=True)
class CheckResult:
    """What a check found; ``kind`` is ``models`` or ``run``, ``detail`` says what was seen.

    ``no_egress`` is what was seen of attempts to call out: None where nothing of the image ran.
    """

    name: str
    kind: str
    passed: bool
    detail: str
    seconds: float
    no_egress: Optional[NoEgress] = None

    def to_json(self) -> dict[str, Any]:
        """The form in receipts and in ``--json``."""
        return {
            "name": self.name,
            "kind": self.kind,
            "passed": self.passed,
            "detail": self.detail,
            "seconds": max(round(self.seconds, 3), 0.001),
            **({"no_egress": self.no_egress.to_json()} if self.no_egress else {}),
        }


def told_proofs(results: Iterable[CheckResult]) -> tuple[str, ...]:
    """Which proof stands behind these results, a line for each kind and reason; none where no command ran."""
    counts: dict[tuple[str, str], int] = {}
    for result in results:
        if result.no_egress:
            key = (result.no_egress.proof, result.no_egress.why)
            counts[key] = counts.get(key, 0) + 1
    return tuple(_told(proof, why, count) for (proof, why), count in counts.items())


def advice_on_places(results: Iterable[CheckResult], command: str) -> str:
    """How to learn where in the code the attempts of Python processes are; empty where nothing more can be learnt."""
    seen = [result.no_egress for result in results if result.no_egress and not result.no_egress.where_in_code]
    if not any(attempt.is_python for no_egress in seen for attempt in no_egress.attempts):
        return ""
    return f"`{command} --where-in-code` tells file and line of what Python processes try"


def _told(proof: str, why: str, count: int) -> str:
    checks = "1 check" if count == 1 else f"{count} checks"
    if proof == TRIPWIRE:
        return f"calling out: {checks} listened to, after a packet and a question sent on purpose were caught"
    return f"calling out: weaker proof for {checks}, which had no network, but nobody listened: {why}"
