"""Small signs that stand beside words: drawn here, so that no font has to have them."""

from __future__ import annotations

from bundler.core.report.markup import Markup, el

GOOD, BAD, MIXED = "good", "bad", "mixed"
_LINES = {
    GOOD: "M7 12.5 L10.5 16 L17 8.5",
    BAD: "M8 8 L16 16 M16 8 L8 16",
    MIXED: "M12 6.5 L12 13.5 M12 17 L12 17.2",
}


def sign(tone: str) -> Markup:
    """A circle with a tick, a cross or an exclamation mark; words beside it say the same."""
    circle = el("circle", cx="12", cy="12", r="10")
    drawn = el("g", circle, el("path", d=_LINES[tone]), class_="sign")
    return el("svg", drawn, viewBox="0 0 24 24", aria_hidden="true", class_=tone)


def status(tone: str, words: str) -> Markup:
    """The sign with its words."""
    return el("span", sign(tone), words, class_=f"status {tone}")
