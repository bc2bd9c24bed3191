"""How attempts are told, and that receipts give them back."""

from __future__ import annotations

import json

import pytest

from bundler.core.check_result import CheckResult, told_proofs
from bundler.core.egress import TRIPWIRE, WEAKER, Attempt, NoEgress, parse_no_egress
from bundler.core.errors import BundleError
from bundler.core.json_fields import Fields

ASKED = Attempt("DNS", "192.0.2.53", 53, "cdn-lfs.HuggingFace.co", "A, AAAA", 0.25, 4, ("python3 -m app (process 7)",))
SENT = Attempt("TCP", "203.0.113.7", 443, None, None, 1.0, 1, ())


def test_an_attempt_is_told_with_all_that_is_known() -> None:
    assert ASKED.told == (
        "DNS: asked for cdn-lfs.HuggingFace.co (A, AAAA), 4 times, first after 0.25 s, by python3 -m app (process 7)"
        ": some code looks for a model on the Hub"
    )
    assert SENT.told == "TCP to 203.0.113.7 port 443, once, first after 1.00 s, by process not told"


@pytest.mark.parametrize(
    ("name", "address", "port", "meaning"),
    [
        ("pypi.org", "192.0.2.53", 53, "some code installs Python packages"),
        ("files.pythonhosted.org", "192.0.2.53", 53, "some code installs Python packages"),
        ("nothuggingface.co", "192.0.2.53", 53, ""),
        (None, "169.254.169.254", 80, "some code looks for the settings that a cloud gives its hosts"),
        (None, "198.51.100.7", 123, "some code asks for the time"),
        (None, "198.51.100.7", None, ""),
    ],
)
def test_what_it_would_have_meant(name: str | None, address: str, port: int | None, meaning: str) -> None:
    assert Attempt("UDP", address, port, name, "A", 0.0, 1, ()).meaning == meaning


def test_many_attempts_are_told_in_short_and_kept_whole() -> None:
    many = NoEgress(TRIPWIRE, attempts=(ASKED,) * 8)
    assert many.told.startswith("tried to call out: DNS: asked for ")
    assert many.told.endswith("; and 3 more")
    assert len(many.to_json()["attempts"]) == 8
    assert NoEgress(TRIPWIRE).told == ""


@pytest.mark.parametrize("value", [NoEgress(TRIPWIRE, attempts=(ASKED, SENT)), NoEgress(WEAKER, "not root")])
def test_a_receipt_gives_back_what_it_was_given(value: NoEgress) -> None:
    assert parse_no_egress(Fields(json.loads(json.dumps(value.to_json())), "receipt")) == value


def test_a_proof_that_nobody_knows_is_refused() -> None:
    with pytest.raises(BundleError):
        parse_no_egress(Fields({"proof": "a promise", "why": "", "attempts": []}, "receipt"))


def test_a_result_without_a_command_says_nothing_of_it() -> None:
    assert "no_egress" not in CheckResult("m", "models", True, "", 0.1).to_json()
    ran = CheckResult("r", "run", True, "", 0.1, NoEgress(WEAKER, "not root"))
    assert ran.to_json()["no_egress"] == {"proof": "weaker", "why": "not root", "attempts": []}


def test_both_kinds_of_proof_are_told_by_their_names() -> None:
    model = CheckResult("m", "models", True, "", 0.1)
    strong = CheckResult("a", "run", True, "", 0.1, NoEgress(TRIPWIRE))
    weak = CheckResult("b", "run", True, "", 0.1, NoEgress(WEAKER, "the engine runs on another host"))
    assert told_proofs([model]) == ()
    assert told_proofs([model, strong, strong, weak]) == (
        "calling out: 2 checks listened to, after a packet and a question sent on purpose were caught",
        "calling out: weaker proof for 1 check, which had no network, but nobody listened: "
        "the engine runs on another host",
    )
