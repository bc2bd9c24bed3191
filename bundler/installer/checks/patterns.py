"""Patterns of checks: what must be in a text, and what must not."""

from __future__ import annotations

import re
from typing import Union

from bundler.core.checks import RunCheck, ServeCheck
from bundler.core.errors import BundleError

_Compiled = tuple[list[re.Pattern[str]], list[re.Pattern[str]]]


def compile_patterns(check: Union[RunCheck, ServeCheck]) -> _Compiled:
    """What the text must hold and must not; ``^`` and ``$`` match at lines. Raises BundleError for no pattern."""
    compiled = []
    for patterns in (check.expect, check.forbid):
        try:
            compiled.append([re.compile(pattern, re.MULTILINE) for pattern in patterns])
        except (re.error, OverflowError, RecursionError) as error:
            raise BundleError(
                f"a pattern of the check is not a regular expression: {error}",
                where=f"bundle.json, check {check.name}",
                remedy="report this to whoever built the bundle: it cannot be checked, so it is not installed",
            ) from error
    return compiled[0], compiled[1]


def pattern_faults(check: Union[RunCheck, ServeCheck], text: str, verb: str) -> list[str]:
    """What of the text is not as the check wants it; ``verb`` says how it came: ``printed``, ``answered``."""
    expected, forbidden = compile_patterns(check)
    faults = [f"{verb} nothing like {item.pattern!r}" for item in expected if not item.search(text)]
    for item in forbidden:
        if match := item.search(text):
            faults.append(f"{verb} {match[0][:80]!r}, which {item.pattern!r} forbids")
    return faults
