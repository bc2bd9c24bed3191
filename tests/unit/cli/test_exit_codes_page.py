"""docs/exit-codes.md lists the codes that the program ends with, and no others."""

from __future__ import annotations

import re
from pathlib import Path

from bundler.cli.boundary import EXIT_BROKEN_PIPE, EXIT_DEFECT
from bundler.core import errors

PAGE = Path(__file__).resolve().parents[3] / "docs" / "exit-codes.md"


def test_page_and_program_agree() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.BundlerError)]
    codes = {kind.exit_code for kind in kinds if kind not in {errors.BundlerError, errors.InterruptedRun}}
    listed = {int(code) for row in re.findall(r"^\| ([\d, ]+) \|", PAGE.read_text(), re.M) for code in row.split(",")}
    assert listed == codes | {0, 130, 143, EXIT_DEFECT, EXIT_BROKEN_PIPE}
