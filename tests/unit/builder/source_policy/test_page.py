"""The examples of the documentation: what ``docs/lint.md`` calls caught is, and what pages show otherwise is clean."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bundler.builder.source_policy.lint import LintReport, lint_sources
from bundler.builder.source_policy.sources import Kind, Source

ROOT = Path(__file__).resolve().parents[4]
PAGE = ROOT / "docs" / "lint.md"
KINDS: dict[str, tuple[Kind, str]] = {
    "python": ("python", "x.py"),
    "dockerfile": ("dockerfile", "Dockerfile"),
    "yaml": ("yaml", "compose.yaml"),
    "sh": ("shell", "x.sh"),
}
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SECTION = re.compile(r"^### `([a-z-]+)`\n(.*?)(?=^##)", re.MULTILINE | re.DOTALL)
SECTIONS = {rule: BLOCK.findall(text) for rule, text in SECTION.findall(PAGE.read_text(encoding="utf-8"))}
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("recipes/*/*.md")])


def lint(language: str, code: str) -> LintReport:
    kind, name = KINDS[language]
    return lint_sources([Source(name, kind, code.encode())])


@pytest.mark.parametrize("rule", [rule for rule, blocks in SECTIONS.items() if blocks])
def test_the_example_of_a_rule_is_caught_and_what_stands_beside_it_is_not(rule: str) -> None:
    (language, caught), (other, instead) = SECTIONS[rule]
    assert caught.startswith("# caught\n") and instead.startswith("# instead\n")
    assert [finding.rule for finding in lint(language, caught).findings] == [rule]
    assert lint(other, instead).findings == ()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_other_examples_are_clean(page: Path) -> None:
    blocks = BLOCK.findall(page.read_text(encoding="utf-8"))
    shown = [(language, code) for language, code in blocks if language in KINDS and not code.startswith("# caught")]
    assert [finding.where for language, code in shown for finding in lint(language, code).findings] == []
