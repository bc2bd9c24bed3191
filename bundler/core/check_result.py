"""What a check found: the builder's papers and the installer's receipts speak of it in the same words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Optional

from bundler.core.checks import KINDS
from bundler.core.egress import TRIPWIRE, NoEgress, parse_no_egress
from bundler.core.json_fields import Fields

NOT_PROVED = "not proved here"
#: The kind that is derived from the lock.
MODELS = "models"


@dataclass(frozen=True)
class CheckResult:
    """What a check found; ``kind`` is ``models`` or one of `bundler.core.checks.KINDS`, ``detail`` says what was seen.

    ``no_egress`` is what was seen of attempts to call out: None where nothing of the image ran. ``proved_here`` is
    False where something that the check needs, such as a GPU, is not on this host: then it neither passed nor failed,
    and ``detail`` says why. ``measured`` are figures by name, with their units in the names.
    """

    name: str
    kind: str
    passed: bool
    detail: str
    seconds: float
    no_egress: Optional[NoEgress] = None
    proved_here: bool = True
    measured: Mapping[str, float] = field(default_factory=dict)

    @property
    def failed(self) -> bool:
        """Whether it was run and did not pass."""
        return self.proved_here and not self.passed

    @property
    def told(self) -> str:
        """The outcome for people, in a word or three."""
        if not self.proved_here:
            return NOT_PROVED
        return "passed" if self.passed else "FAILED"

    def to_json(self) -> dict[str, Any]:
        """The form in receipts and in ``--json``."""
        return {
            "name": self.name,
            "kind": self.kind,
            "passed": self.passed,
            "proved_here": self.proved_here,
            "detail": self.detail,
            "seconds": max(round(self.seconds, 3), 0.001),
            **({"measured": dict(self.measured)} if self.measured else {}),
            **({"no_egress": self.no_egress.to_json()} if self.no_egress else {}),
        }


def parse_check_result(fields: Fields) -> CheckResult:
    """Read what papers and receipts keep; raises BundleError where it is not as it was written."""
    no_egress = fields.optional_object("no_egress")  # those of before have none
    return CheckResult(
        name=fields.text("name"),
        kind=fields.choice("kind", (MODELS, *KINDS)),
        passed=fields.flag("passed"),
        detail=fields.text("detail"),
        seconds=fields.seconds("seconds"),
        no_egress=parse_no_egress(no_egress) if no_egress else None,
        proved_here=fields.optional_flag("proved_here") is not False,
        measured=fields.numbers_by_key("measured"),
    )


def told_proofs(results: Iterable[CheckResult]) -> tuple[str, ...]:
    """Which proof stands behind these results, a line for each kind and reason; none where no command ran."""
    counts: dict[tuple[str, str, bool], int] = {}
    for result in results:
        if result.no_egress:
            key = (result.no_egress.proof, result.no_egress.why, result.no_egress.where_in_code)
            counts[key] = counts.get(key, 0) + 1
    return tuple(_told(proof, why, count, hooked=hooked) for (proof, why, hooked), count in counts.items())


def told_remarks(results: Iterable[CheckResult]) -> tuple[str, ...]:
    """What a table of results leaves out, a line each: why one did not pass, and calls that its check allows."""
    lines = []
    for result in results:
        if not result.passed:
            lines.append(f"{result.name}: {result.detail}")
        for attempt in result.no_egress.allowed if result.no_egress else ():
            lines.append(f"{result.name}: allowed: {attempt.told}")
    return tuple(lines)


def advice_on_places(results: Iterable[CheckResult], command: str) -> tuple[str, ...]:
    """How to learn where in the code attempts of Python processes are: one line, none where nothing more can be learnt."""
    seen = [result.no_egress for result in results if result.no_egress and not result.no_egress.where_in_code]
    if not any(attempt.is_python for no_egress in seen for attempt in no_egress.attempts):
        return ()
    return (f"`{command} --where-in-code` tells file and line of what Python processes try",)


def _told(proof: str, why: str, count: int, *, hooked: bool) -> str:
    checks = "1 check" if count == 1 else f"{count} checks"
    if proof == TRIPWIRE:
        hook = "; Python processes ran with a hook that tells their lines (--where-in-code)" if hooked else ""
        return f"calling out: {checks} listened to, after a packet and a question sent on purpose were caught{hook}"
    return f"calling out: weaker proof for {checks}, which had no network, but nobody listened: {why}"
