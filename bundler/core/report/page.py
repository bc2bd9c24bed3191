"""The report for people: one page that asks nothing of any network, in the order in which a decision is made."""

from __future__ import annotations

from bundler.core.report.evidence import INSTALL, Evidence
from bundler.core.report.markup import Markup, el, joined, raw
from bundler.core.report.sections import attempts, how, proved, start, travels, unproved
from bundler.core.report.signs import BAD, GOOD, MIXED, sign
from bundler.core.report.style import STYLE
from bundler.core.report.unproved import gaps_of
from bundler.core.report.verdict import FAILED, PROVED, Verdict, verdict_of

#: What a page begins with: nothing but its own style may be loaded, and it stands in the page.
POLICY = "default-src 'none'; style-src 'unsafe-inline'"
GENERATOR = "bundler report"


def render_html(evidence: Evidence) -> bytes:
    """``report.html``: the same bytes for the same evidence."""
    manifest = evidence.manifest
    title = f"{manifest.name} {manifest.version}: what was proved"
    head = el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", http_equiv="Content-Security-Policy", content=POLICY),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("meta", name="generator", content=GENERATOR),
        el("meta", name="color-scheme", content="light dark"),
        el("title", title),
        el("style", raw(STYLE)),
    )
    body = el("body", el("main", *_parts(evidence)))
    return ("<!DOCTYPE html>\n" + el("html", head, "\n", body, lang="en") + "\n").encode()


def _parts(evidence: Evidence) -> list[Markup]:
    return [
        _header(evidence),
        travels(evidence),
        proved(evidence),
        attempts(evidence),
        start(evidence),
        unproved(evidence),
        how(evidence),
        el("footer", el("p", _footer(evidence))),
    ]


def _header(evidence: Evidence) -> Markup:
    manifest = evidence.manifest
    where = "The install on an isolated host" if evidence.origin == INSTALL else "The rehearsal where the kit was built"
    return el(
        "header",
        el("p", f"{where}: what was proved", class_="kicker"),
        el("h1", f"{manifest.name} {manifest.version} for {manifest.platform}"),
        _banner(verdict_of(evidence), len(gaps_of(evidence))),
    )


def _banner(verdict: Verdict, gaps: int) -> Markup:
    tone = {PROVED: GOOD, FAILED: BAD}.get(verdict.level, MIXED)
    points = "1 point remains" if gaps == 1 else f"{gaps} points remain"
    remains = el("p", el("a", f"{points} unproved", href="#unproved"), ", with what no such proof can show.")
    words = el("div", el("strong", verdict.headline), *(el("p", text) for text in verdict.sentences), remains)
    return el("div", sign(tone), words, class_=f"verdict {tone}")


def _footer(evidence: Evidence) -> Markup:
    text = "This page is no seal: whoever can change a file can change this one. "
    if evidence.origin == INSTALL:
        return joined(
            text, el("code", f"bundler report {evidence.manifest.name}"), " makes it anew of that host's receipt."
        )
    anew = " makes it anew of the kit's papers, after comparing them with the kit's checksums."
    return joined(text, el("code", "bundler report KIT"), anew)
