"""What the rows of the fault table share: how an error is judged, and how a row gets into what is printed at the end."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from bundler.core.errors import BundlerError
from tests.support.fault_rows import Refused
from tests.support.printed_tables import RecordProperty, Table

Outcome = Callable[[str, int, str], None]
FAULTS = Table(
    "fault table of downloads",
    ("FAULT", "STRUCK", "OUTCOME"),
    right=frozenset({1}),
    order=lambda row: (":" in row[0],),  # those of one way or one step after those of all
)


@pytest.fixture
def outcome(record_property: RecordProperty) -> Outcome:
    """Notes a row of the table that is printed at the end: fault, how often it struck, what came of it."""

    def note(fault: str, struck: int, what: str) -> None:
        FAULTS.note(record_property, fault, struck, what)

    return note


def refusal(action: Callable[[], object], must: Refused) -> str:
    """The error's text as a person sees it, after it was found to be the right one."""
    with pytest.raises(BundlerError) as caught:
        action()
    error = caught.value
    told = str(error)
    assert error.exit_code == must.exit_code, told
    assert re.search(must.sentence, told), told
    assert error.where, told
    assert error.remedy, told
    assert "Signature=" not in told, "an address that is signed opens the file to whoever reads the log"
    return " / ".join(told.splitlines())
