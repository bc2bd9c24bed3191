"""However little a failure says of itself, the demo ends with its own last line."""

from __future__ import annotations

from pathlib import Path

import pytest

from demo_steps import command_line, host_engine
from demo_steps.stage import Stage, StepError
from testbed import TestbedError


def test_a_failure_without_a_word_is_told_with_its_step(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stage = Stage(tmp_path)
    with pytest.raises(StepError), stage.step("Try"):
        raise StepError("")
    assert command_line._failed(stage, "", 1) == 1
    assert capsys.readouterr().err.startswith("demo: failed in step 1 (Try): ")


def test_a_place_whose_file_system_is_not_told_is_a_failure_of_the_test_bed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "stat").write_text("#!/bin/sh\necho 'stat: no luck' >&2\nexit 1\n")
    (tmp_path / "stat").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(host_engine, "DATA_DIR", tmp_path / "data")
    with pytest.raises(TestbedError, match="no luck"):
        host_engine.disk_size()
