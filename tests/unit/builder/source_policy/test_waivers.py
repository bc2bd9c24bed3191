"""Waivers let a finding stand with a reason; one without a reason, or without a finding, is a finding."""

from __future__ import annotations

import pytest

from bundler.builder.source_policy.lint import LintReport, lint_sources
from bundler.builder.source_policy.sources import Kind, Source

LOAD = 'import torch\nw = torch.load("/m/x.pt")'


def lint(text: str, kind: Kind = "python", name: str = "x.py") -> LintReport:
    return lint_sources([Source(name, kind, text.encode())])


@pytest.mark.parametrize(
    "text",
    [
        LOAD + "  # bundler: allow unsafe weights of our own training",
        LOAD.replace("w =", "# bundler: allow unsafe weights of our own training\nw ="),
        LOAD.replace("w =", "# bundler: allow unsafe weights of our own training\n# (see its card)\nw ="),
        LOAD + "  # noqa: S614  # bundler: allow unsafe weights of our own training".replace("# noqa: S614  ", ""),
        LOAD + "  # bundler: allow unsafe: weights of our own training",
    ],
)
def test_a_finding_stands_with_a_reason(text: str) -> None:
    report = lint(text)
    assert report.findings == ()
    assert [(each.finding.rule, each.reason) for each in report.waived] == [("unsafe", "weights of our own training")]


def test_one_comment_waives_two_rules() -> None:
    call = 'from transformers import AutoModel\nm = AutoModel.from_pretrained("org/x")'
    report = lint(call + "  # bundler: allow no-local-only, repo-id a tool for the connected host")
    assert report.findings == () and len(report.waived) == 2


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (LOAD + "  # bundler: allow unsafe", ["unsafe", "waiver"]),
        (LOAD + "  # bundler: allow unsafe …", ["unsafe", "waiver"]),
        (LOAD + "  # bundler: allow", ["unsafe", "waiver"]),
        (LOAD + "  # bundler: allow repo-id it is ours", ["unsafe", "waiver"]),
        (LOAD + "  # bundler: allow no-such-rule it is ours", ["unsafe", "waiver"]),
        (LOAD + "  # bundler: allow waiver it is ours", ["unsafe", "waiver"]),
        ("# bundler: allow unsafe it is ours\n\n" + LOAD, ["unsafe", "waiver"]),
        ("x = 1  # bundler: allow unsafe it was here once", ["waiver"]),
        ('x = "# bundler: allow unsafe only a text"', []),
    ],
)
def test_a_waiver_that_says_nothing_is_found(text: str, found: list[str]) -> None:
    report = lint(text)
    assert sorted(finding.rule for finding in report.findings) == found
    assert report.waived == ()


@pytest.mark.parametrize(
    ("kind", "name", "text"),
    [
        ("shell", "start.sh", "# bundler: allow shell our own mirror inside\ncurl https://mirror.example.org/x\n"),
        ("shell", "start.sh", "curl https://mirror.example.org/x  # bundler: allow shell our own mirror inside\n"),
        ("dockerfile", "Dockerfile", "FROM a\n# bundler: allow shell our own mirror inside\nCMD wget $URL\n"),
        (
            "yaml",
            "compose.yaml",
            "services:\n  a:\n    # bundler: allow shell our own mirror inside\n    command: wget $U\n",
        ),
    ],
)
def test_waivers_in_other_languages(kind: Kind, name: str, text: str) -> None:
    report = lint(text, kind, name)
    assert report.findings == ()
    assert [each.reason for each in report.waived] == ["our own mirror inside"]


def test_a_file_that_cannot_be_parsed_can_be_waived_too() -> None:
    report = lint("print 'x'  # bundler: allow not-read kept for its author\n")
    assert report.findings == () and len(report.waived) == 1
