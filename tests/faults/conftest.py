"""The fault table of downloads, printed at the end of the run: fault, how often it struck, what came of it."""

from __future__ import annotations

import pytest

_HEAD = ("FAULT", "STRUCK", "OUTCOME")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Gather the rows from the reports, which also come from the workers of pytest-xdist."""
    reports = [report for group in terminalreporter.stats.values() for report in group]
    rows = [
        tuple(map(str, value))
        for report in reports
        for name, value in getattr(report, "user_properties", ())
        if name == "fault table" and getattr(report, "when", "") == "call"
    ]
    if not rows:
        return
    terminalreporter.section("fault table of downloads")
    width = max(len(row[0]) for row in rows)
    for row in (_HEAD, *sorted(rows, key=lambda row: ":" in row[0])):
        terminalreporter.write_line(f"{row[0]:<{width}}  {row[1]:>6}  {row[2]}")
