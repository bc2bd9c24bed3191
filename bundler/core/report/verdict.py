"""The headline: what the evidence comes to, in one sentence and those that follow it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bundler.core.amounts import human_date
from bundler.core.egress import TRIPWIRE, WEAKER
from bundler.core.report.evidence import MOUNTED, Evidence

FAILED, NOTHING, PARTLY, PROVED = "failed", "nothing", "partly", "proved"


@dataclass(frozen=True)
class Counts:
    """Checks by outcome; ``listened`` ran a command and were listened to, ``unheard`` ran one with the weaker proof."""

    checks: int
    passed: int
    failed: int
    not_proved: int
    listened: int
    unheard: int
    attempts: int


@dataclass(frozen=True)
class Verdict:
    """``level`` is ``failed``, ``nothing``, ``partly`` or ``proved``; ``sentences`` follow the headline."""

    level: str
    headline: str
    sentences: tuple[str, ...]


def counts_of(evidence: Evidence) -> Counts:
    """The results, counted."""
    results = evidence.results
    ran = [result.no_egress for result in results if result.no_egress]
    return Counts(
        checks=len(results),
        passed=sum(result.proved_here and result.passed for result in results),
        failed=sum(result.failed for result in results),
        not_proved=sum(not result.proved_here for result in results),
        listened=sum(no_egress.proof == TRIPWIRE for no_egress in ran),
        unheard=sum(no_egress.proof == WEAKER for no_egress in ran),
        attempts=sum(len(no_egress.attempts) for no_egress in ran),
    )


def verdict_of(evidence: Evidence) -> Verdict:
    """What may be said of this evidence, and no more."""
    counts = counts_of(evidence)
    sentences = tuple(_sentences(evidence, counts))
    if not counts.checks:
        return Verdict(NOTHING, "Nothing was proved: no check was run", ())
    if not counts.passed and not counts.failed:
        return Verdict(NOTHING, f"Nothing was proved: {_checks(counts.checks)} could not be run on that host", ())
    if counts.failed:
        called = f", and {_attempts(counts.attempts)} seen" if counts.attempts else ""
        headline = f"Failed: {counts.failed} of {_checks(counts.checks)} did not pass{called}"
        return Verdict(FAILED, headline, sentences)
    if reasons := _reservations(evidence, counts):
        headline = f"Proved in part: {counts.passed} of {_checks(counts.checks)} passed, but {', and '.join(reasons)}"
        return Verdict(PARTLY, headline, sentences)
    headline = f"Proved: {counts.passed} of {_checks(counts.checks)} passed, and nothing tried to call out"
    return Verdict(PROVED, headline, sentences)


def _sentences(evidence: Evidence, counts: Counts) -> Iterator[str]:
    """How it was found, and where."""
    if counts.listened:
        yield (
            f"{_checks(counts.listened)} {'was' if counts.listened == 1 else 'were'} listened to from the first "
            "instruction on, after a packet and a question that were sent on purpose had been caught."
        )
    if counts.unheard:
        yield f"{_checks(counts.unheard)} ran without a network and without a listener: the weaker proof."
    if evidence.provenance:
        engine = evidence.provenance.engine
        host = f" on {engine.system}" if engine.system else ""
        yield f"Checked on {human_date(evidence.provenance.at)}, in {engine.name} {engine.version}{host}."


def _reservations(evidence: Evidence, counts: Counts) -> list[str]:
    """Why passing is not all that could be asked for, each as the half of a sentence."""
    reasons = []
    if counts.not_proved:
        reasons.append(f"{_checks(counts.not_proved)} could not be run on that host")
    if counts.unheard:
        reasons.append(f"nobody could listen to {_checks(counts.unheard)}")
    if not counts.listened and not counts.unheard:
        reasons.append("no command was run, so whether anything calls out is not known")
    if evidence.mode == MOUNTED:
        reasons.append("the finished kit was not loaded")
    return reasons


def _checks(count: int) -> str:
    return "1 check" if count == 1 else f"{count} checks"


def _attempts(count: int) -> str:
    return "1 attempt to call out was" if count == 1 else f"{count} attempts to call out were"
