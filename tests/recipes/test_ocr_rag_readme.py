"""The table of rows, checks and conditions in the README of ocr-rag names tests that exist, and leaves no row out."""

from __future__ import annotations

import json
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "recipes" / "ocr-rag" / "README.md").read_text("utf-8")
TABLES = TEXT.partition("## What must hold")[2]
FILES = {
    name: ROOT / "tests" / "recipes" / f"test_ocr_rag_{name}.py"
    for name in ("build", "fetch", "recipe", "models", "files")
}
_NAMED = re.compile(r"\b(build|fetch|recipe|models|files): ((?:`[a-z0-9_…]+`(?:, )?)+)")


def test_each_test_that_is_named_is_there() -> None:
    named = [(file, test) for file, tests in _NAMED.findall(TABLES) for test in re.findall(r"`([a-z0-9_…]+)`", tests)]
    assert len(named) > 20
    for file, test in named:
        whole = test if test.endswith("…") else f"{test}("  # "…" stands for the rest of a long name
        assert f"def test_{whole.rstrip('…')}" in FILES[file].read_text("utf-8"), test


def test_no_row_is_left_out() -> None:
    rows = re.findall(r"^\| (\d+) \|", TABLES, re.MULTILINE)
    assert rows == [str(number) for number in range(1, 12)]


def test_a_request_is_shown_as_it_is_typed_on_the_host() -> None:
    """With its media type, without which FastAPI takes no JSON, and with what the table of requests says of it."""
    (asked,) = re.findall(r"    curl (\S+/search\S+) (.+\n +-d '.+')", TEXT)
    assert asked[0] == '"http://$address:8000/search"'
    assert "Content-Type: application/json" in asked[1]
    body = json.loads(asked[1].partition("-d '")[2].removesuffix("'"))
    (named,) = re.findall(r"`POST /search` `\{(.+?)\}`", TEXT)
    assert set(body) == set(re.findall(r'"(\w+)"', named))
