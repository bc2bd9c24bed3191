"""``./scripts/demo`` itself, to its last line. Its steps one by one are in ``test_quickstart_end_to_end.py``."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.demo_script import demo, require_nothing_left

TIMEOUT_S = 3600


@pytest.mark.engine
def test_the_script_ends_with_its_word_and_leaves_the_kit_alone(tmp_path: Path) -> None:
    with demo(tmp_path) as process:
        out, err = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0, out + err
    last = out.rstrip("\n").splitlines()[-1]
    assert re.fullmatch(
        r"demo: ok: kit \d+ MB of \d+ MB of layers, model \d+ MB; build \d+ s, install \d+ s, audit \d+ s; all \d+ s",
        last,
    )
    assert "which is the expected one" in out
    (kit,) = (tmp_path / "kits").iterdir()
    assert f"kit: {kit}" in out.splitlines()
    assert not (tmp_path / "isolated-host").exists()
    require_nothing_left(process)
