"""The table of leaks and honest services: what was told of each, and whether that is as it must be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bundler.core.check_result import CheckResult
from bundler.core.egress import NOT_TOLD, Attempt
from tests.support.calling_out import Leak, is_named, is_silent, named, told_fault
from tests.support.printed_tables import Cells, RecordProperty, Table

NAMED, SILENT = "named", "silent"
_LEAK, _HONEST = "leak", "honest"
_SHOWN_PROCESS, _SHOWN_FAULT = 34, 120


def _counted(rows: Sequence[Cells]) -> Sequence[str]:
    """How many of each kind were as they have to be."""
    kinds = ((_LEAK, NAMED, "leaks named"), (_HONEST, SILENT, "honest services silent"))
    results = {kind: [row[3] for row in rows if row[0] == kind] for kind, _, _ in kinds}
    return [f"{title}: {results[kind].count(right)} of {len(results[kind])}" for kind, right, title in kinds]


EGRESS = Table(
    "the proof that nothing calls out",
    ("KIND", "WHAT", "TOLD", "RESULT", "ENGINE"),
    order=lambda row: (row[0] != _LEAK,),
    closing=_counted,
)


def note_leaks(
    record_property: RecordProperty, engine: str, leaks: Mapping[str, Leak], results: Mapping[str, CheckResult]
) -> None:
    """A row for each leak: protocol, name or address, and process, as they were told."""
    for name, leak in leaks.items():
        result = results[name]
        attempt = named(leak, result)
        told = _attempt(attempt) if attempt else _short(result)
        EGRESS.note(record_property, _LEAK, name, told, NAMED if is_named(leak, result) else "MISSED", engine)


def note_honest(record_property: RecordProperty, engine: str, results: Mapping[str, CheckResult]) -> None:
    """A row for each honest service: silent, or what it was accused of, or how it failed."""
    for name, result in results.items():
        silent = is_silent(result)
        spoke = bool(result.no_egress and result.no_egress.attempts)
        told = SILENT if silent else _short(result)
        EGRESS.note(record_property, _HONEST, name, told, SILENT if silent else "SPOKE" if spoke else "FAILED", engine)


def _attempt(attempt: Attempt) -> str:
    where = attempt.name or attempt.address
    port = "" if attempt.port is None or attempt.name else f" port {attempt.port}"
    process = attempt.processes[0] if attempt.processes else f"process {NOT_TOLD}"
    command, _, number = process.rpartition(" (")
    shown = process if len(process) <= _SHOWN_PROCESS else f"{command[:_SHOWN_PROCESS]}… ({number}"
    return f"{attempt.protocol} {where}{port}, by {shown}"


def _short(result: CheckResult) -> str:
    return " ".join(told_fault(result).split())[:_SHOWN_FAULT]
