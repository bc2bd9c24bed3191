"""How a place in the code is told, and that receipts give it back."""

from __future__ import annotations

import json

import pytest

from bundler.core.check_result import CheckResult, advice_on_places, told_proofs
from bundler.core.code_place import CodePlace, Frame
from bundler.core.egress import TRIPWIRE, Attempt, NoEgress, parse_no_egress
from bundler.core.errors import BundleError
from bundler.core.json_fields import Fields

RUNPY = Frame("/usr/lib/python3.9/runpy.py", 87, "_run_code")
OWN = Frame("/app/service/embedder.py", 41, "load")
HUB = Frame("/usr/local/lib/python3.11/site-packages/transformers/utils/hub.py", 430, "cached_file")
SOCKET = Frame("/opt/conda/lib/python3.11/socket.py", 962, "getaddrinfo")


def place(*stack: Frame) -> CodePlace:
    return CodePlace("socket.getaddrinfo", "huggingface.co", None, 1, 0.5, stack)


def attempt(*places: CodePlace, process: str = "python3 -m service (process 1)") -> Attempt:
    return Attempt("DNS", "192.0.2.53", 53, "huggingface.co", "A", 0.5, 1, (process,), places)


@pytest.mark.parametrize(
    ("stack", "told"),
    [
        ((RUNPY, OWN, HUB, SOCKET), "/app/service/embedder.py line 41 in load (transformers/utils/hub.py line 430)"),
        ((RUNPY, HUB, OWN, SOCKET), "/app/service/embedder.py line 41 in load"),  # a callback of the program's own
        ((RUNPY, OWN, SOCKET), "/app/service/embedder.py line 41 in load"),
        ((RUNPY, HUB, SOCKET), "transformers/utils/hub.py line 430 in cached_file"),
        ((RUNPY, SOCKET), "/opt/conda/lib/python3.11/socket.py line 962 in getaddrinfo"),
        ((Frame("/usr/lib/python3/dist-packages/apt/x.py", 3, "f"), SOCKET), "apt/x.py line 3 in f"),
        ((Frame("/usr/lib/python3.13t/x.py", 1, "f"), Frame("<string>", 2, "<module>")), "<string> line 2 in <module>"),
        ((), ""),
    ],
)
def test_the_program_s_own_line_is_told_first(stack: tuple[Frame, ...], told: str) -> None:
    assert place(*stack).told == told


def test_an_attempt_is_told_with_its_places_before_its_meaning() -> None:
    assert attempt(place(OWN, HUB)).told == (
        "DNS: asked for huggingface.co (A), once, first after 0.50 s, by python3 -m service (process 1), at "
        "/app/service/embedder.py line 41 in load (transformers/utils/hub.py line 430)"
        ": some code looks for a model on the Hub"
    )
    lines = [place(Frame("/app/a.py", line, "f")) for line in (1, 2, 2, 3, 4, 5)]
    assert "at /app/a.py line 1 in f and at /app/a.py line 2 in f and at /app/a.py line 3 in f and 2 more places" in (
        attempt(*lines).told
    )
    assert ", at" not in attempt(place()).told


def test_a_receipt_gives_places_back() -> None:
    value = NoEgress(TRIPWIRE, attempts=(attempt(place(OWN, HUB), place()),), where_in_code=True, untold_calls=4)
    document = json.loads(json.dumps(value.to_json()))
    assert parse_no_egress(Fields(document, "receipt")) == value
    assert document["where_in_code"] is True
    assert "where_in_code" not in NoEgress(TRIPWIRE).to_json()


def test_receipts_of_before_have_no_places() -> None:
    document = NoEgress(TRIPWIRE, attempts=(attempt(),)).to_json()
    del document["attempts"][0]["places"]
    assert parse_no_egress(Fields(document, "receipt")) == NoEgress(TRIPWIRE, attempts=(attempt(),))


@pytest.mark.parametrize("stack", [None, [1], [{"file": "a", "line": "1", "function": "f"}]])
def test_a_place_that_is_none_is_refused(stack: object) -> None:
    document = NoEgress(TRIPWIRE, attempts=(attempt(place(OWN)),)).to_json()
    document["attempts"][0]["places"][0]["stack"] = stack
    with pytest.raises(BundleError):
        parse_no_egress(Fields(document, "receipt"))


def result(no_egress: NoEgress) -> CheckResult:
    return CheckResult("a", "run", not no_egress.attempts, "", 0.1, no_egress)


@pytest.mark.parametrize(
    "process",
    ["python3 -m service (process 1)", "/usr/local/bin/python3.12 app.py (process 7)", "gunicorn: worker (process 9)"],
)
def test_who_has_python_is_told_of_the_option_once(process: str) -> None:
    tried = [result(NoEgress(TRIPWIRE, attempts=(attempt(process=process),)))] * 2
    (advice,) = advice_on_places(tried, "bundler check")
    assert advice.startswith("`bundler check --where-in-code` tells ")


def test_others_are_not_told_of_it() -> None:
    native = NoEgress(TRIPWIRE, attempts=(attempt(process="curl https://python.org (process 8)"),))
    hooked = NoEgress(TRIPWIRE, attempts=(attempt(),), where_in_code=True)
    assert advice_on_places(map(result, [native, hooked, NoEgress(TRIPWIRE)]), "bundler check") == ()


def test_a_run_with_the_hook_says_so() -> None:
    told = told_proofs([result(NoEgress(TRIPWIRE)), result(NoEgress(TRIPWIRE, where_in_code=True))])
    assert [("hook" in line) for line in told] == [False, True]
