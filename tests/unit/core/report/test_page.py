"""The page: whole, self-contained, and whatever stands in a bundle or was printed by a service stays text."""

from __future__ import annotations

import dataclasses
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from bundler.core.check_result import CheckResult
from bundler.core.egress import TRIPWIRE, NoEgress
from bundler.core.report import render_html, render_json
from bundler.core.report.markup import el, safe
from bundler.core.report.unproved import LIMITS
from bundler.core.timeline import OPENED, FileLoad, ProcessSpan, Timeline
from tests.support.report_evidence import (
    ASKED,
    CONTROL,
    FAILED,
    MODEL,
    NO_GPU,
    PASSED,
    SENT,
    TIMELINE,
    WEAK,
    evidence,
    renamed,
)

HOSTILE = "</title><script>alert(1)</script><img src=x onerror=\"a\" x='b'>&amp;\x1b[31m\u202egnp\ud800\0"
VOID = {"meta", "br"}


class _Reader(HTMLParser):
    """What a browser would make of a page: elements, attributes, texts; and whether all that was opened is closed."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(page.decode())
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.texts).split())

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def test_every_outcome_is_told_in_words(tmp_path: Path) -> None:
    page = _Reader(render_html(evidence(tmp_path, MODEL, PASSED, FAILED, WEAK, NO_GPU, more_models=1, sidecar=True)))
    told = page.text
    assert "Failed: 1 of 5 checks did not pass, and 2 attempts to call out were seen" in told
    for words in ("passed", "FAILED", "not proved", "weaker", "silent", "2 attempts", "needs a GPU", "cold 1.9 s"):
        assert words in told
    for words in ("org/tiny", "0" * 39 + "1", "apache-2.0", "39.1 KiB", "bundler-test/service-sidecar:1.0.0"):
        assert words in told
    for words in ("asked for huggingface.co", "some code looks for a model on the Hub", "203.0.113.7 port 443"):
        assert words in told
    for words in ("/srv/service/load.py line 12 in load", "ran with bundler's hook"):
        assert words in told
    for words in ("docker 28.5.1", "containerd store", "kernel 6.1.0-28-amd64", CONTROL.told, *LIMITS):
        assert words in told


def test_one_without_any_check_is_a_page_too(tmp_path: Path) -> None:
    page = _Reader(render_html(evidence(tmp_path, mode="off", provenance=None)))
    assert "Nothing was proved: no check was run" in page.text
    assert page.named("svg")
    assert "The start, as it was seen" not in page.text


def test_it_asks_nothing_of_anybody(tmp_path: Path) -> None:
    content = render_html(evidence(tmp_path, MODEL, PASSED, FAILED))
    page = _Reader(content)
    policy = [meta["content"] for meta in page.named("meta") if meta.get("http-equiv") == "Content-Security-Policy"]
    assert policy == ["default-src 'none'; style-src 'unsafe-inline'"]
    assert {name for name, _ in page.elements} & {"script", "img", "link", "iframe", "object", "base", "form"} == set()
    links = [value for _, attributes in page.elements for key, value in attributes.items() if key in {"href", "src"}]
    assert links == ["#unproved"]
    assert not re.search(rb"url\(|@import|https?:|xlink|\bon[a-z]+=", content)


def test_it_can_be_read_by_who_does_not_see_it(tmp_path: Path) -> None:
    page = _Reader(render_html(evidence(tmp_path, MODEL, PASSED, FAILED)))
    levels = [int(name[1]) for name, _ in page.elements if re.fullmatch(r"h[1-6]", name)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in zip(levels, levels[1:], strict=False))
    assert all(attributes.get("scope") in {"col", "row"} for attributes in page.named("th"))
    pictures = [attributes for attributes in page.named("svg") if attributes.get("role") == "img"]
    assert len(pictures) == 2
    assert len(page.named("desc")) == len(pictures)
    assert page.named("html")[0]["lang"] == "en"


def test_whatever_is_hostile_stays_text(tmp_path: Path) -> None:
    span = ProcessSpan(1, HOSTILE, 0.0, 1.0)
    timeline = Timeline(1.0, 0.05, (span,), (FileLoad(f"/app/models/tiny/{HOSTILE}", OPENED, 1, 0.1, 0.1),))
    attempt = dataclasses.replace(ASKED, name=HOSTILE, question=HOSTILE, processes=(HOSTILE,))
    seen = NoEgress(TRIPWIRE, attempts=(attempt,), allowed=(attempt,), control=CONTROL, timelines=(timeline,))
    result = CheckResult(HOSTILE, "run", False, HOSTILE, 1.0, seen, measured={HOSTILE: 1.0})
    found = renamed(evidence(tmp_path, MODEL, result), HOSTILE)
    plain = _Reader(render_html(evidence(tmp_path / "plain", MODEL, dataclasses.replace(FAILED, name="x"))))
    content = render_html(found)
    page = _Reader(content)
    assert {name for name, _ in page.elements} <= {name for name, _ in plain.elements} | {"ul", "li", "code"}
    assert {key for _, attributes in page.elements for key in attributes} <= {
        key for _, attributes in plain.elements for key in attributes
    }
    text = content.decode()
    assert not any(letter in text for letter in "\x1b\u202e\0")
    assert "\\u202e" in text
    json.loads(render_json(found))


def test_markup_is_escaped_once_and_lines_stay_lines() -> None:
    assert el("td", el("b", "<&>"), " a\n\tb ", title="\"'") == (
        '<td title="&quot;&#x27;"><b>&lt;&amp;&gt;</b> a b </td>'
    )
    assert safe("a\u2028b\x7f\u200b") == "a\\u2028b\\u007f\\u200b"


def test_a_flood_is_drawn_in_part_and_told(tmp_path: Path) -> None:
    processes = tuple(ProcessSpan(number, f"worker {number}", 0.1, 1.0) for number in range(100))
    loads = tuple(FileLoad(f"/app/models/tiny/{number}", OPENED, 1, 0.1, 0.2) for number in range(200))
    seen = NoEgress(TRIPWIRE, attempts=(SENT,) * 40, timelines=(Timeline(2.0, 0.05, processes, loads, unkept=1000),))
    page = _Reader(render_html(evidence(tmp_path, dataclasses.replace(FAILED, no_egress=seen))))
    assert f"{1000 + 100 - 24 + 200 - 24 + 40 - 24} more processes, files or attempts are not drawn." in page.text
    lanes = [attributes for attributes in page.named("svg") if attributes.get("class") == "lane"]
    assert len(lanes) == 3 * 24


@pytest.mark.parametrize("seconds", [0.0, 0.004, 0.37, 1.0, 9.37, 61.0, 3600.0, 90000.0])
def test_an_axis_has_a_few_round_ticks(tmp_path: Path, seconds: float) -> None:
    seen = NoEgress(TRIPWIRE, timelines=(dataclasses.replace(TIMELINE, seconds=seconds, processes=(), loads=()),))
    text = render_html(evidence(tmp_path, dataclasses.replace(PASSED, no_egress=seen))).decode()
    ticks = re.findall(r'text-anchor="[a-z]+">([0-9.]+) s</text>', text)
    assert ticks[0].rstrip("0.") == ""
    assert 3 <= len(ticks) <= 8
    assert len(set(ticks)) == len(ticks)


def test_the_same_evidence_gives_the_same_bytes(tmp_path: Path) -> None:
    one, two = (evidence(tmp_path / name, MODEL, PASSED, FAILED) for name in "ab")
    assert render_html(one) == render_html(two)
    assert render_json(one) == render_json(two)


def test_the_json_says_the_same(tmp_path: Path) -> None:
    found = evidence(tmp_path, MODEL, PASSED, FAILED, WEAK, NO_GPU)
    document = json.loads(render_json(found))
    assert set(document) == {
        *("report_version", "bundle", "origin", "rehearsal", "verdict", "counts", "proved", "images", "models"),
        *("files", "checks", "unproved", "limits"),
    }
    assert document["verdict"]["level"] == "failed"
    assert document["counts"] == {
        **{"checks": 5, "passed": 3, "failed": 1, "not_proved": 1, "listened": 2, "unheard": 1, "attempts": 2}
    }
    assert document["bundle"]["digest"] == str(found.bundle.digest)
    assert [check["name"] for check in document["checks"]] == [result.name for result in found.results]
    assert document["checks"][1]["no_egress"]["timelines"] == [TIMELINE.to_json()]
    assert {gap["what"] for gap in document["unproved"]} >= {"Check golden", "Who made the kit"}
    told = _Reader(render_html(found)).text
    assert all(gap["what"] in told and gap["why"] in told for gap in document["unproved"])
