"""Patterns of checks, and what a failed run is told with."""

from __future__ import annotations

import pytest

from bundler.core.check_result import CheckResult
from bundler.core.checks import RunCheck
from bundler.core.errors import BundleError, CheckError
from bundler.core.reference import Reference
from bundler.installer.checks.patterns import compile_patterns
from bundler.installer.checks.running import require_passed


def check(expect: tuple[str, ...] = (), forbid: tuple[str, ...] = ()) -> RunCheck:
    return RunCheck("c", Reference.parse("docker.io/library/a:1"), ("x",), 1.0, None, {}, (), False, expect, forbid)


def test_lines_are_matched_at_their_ends() -> None:
    expected, forbidden = compile_patterns(check(("^b$",), ("z",)))
    assert expected[0].search("a\nb\nc")
    assert not forbidden[0].search("a\nb\nc")


@pytest.mark.parametrize("pattern", ["(", "[a", "*", "a{99999999999}"])
def test_what_is_no_pattern_is_the_bundles_fault(pattern: str) -> None:
    for bad in (check((pattern,)), check((), (pattern,))):
        with pytest.raises(BundleError):
            compile_patterns(bad)


def test_all_failed_checks_are_told() -> None:
    good, bad = CheckResult("a", "run", True, "", 0.1), CheckResult("b", "models", False, "x is missing", 0.1)
    require_passed((good,), "bundle")
    with pytest.raises(CheckError) as caught:
        require_passed((good, bad, bad), "bundle")
    assert caught.value.what == "2 of 3 checks failed"
    assert [problem.what for problem in caught.value.problems] == ["x is missing"] * 2
