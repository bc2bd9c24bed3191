"""The demo's own judgement of an answer, and what it asks of ``bundler build`` online and with what it embeds."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from demo_steps import carrying
from demo_steps.carrying import ANSWERED_BY, RECIPE
from demo_steps.hosts import ConnectedHost
from demo_steps.sources import embedded_base, embedded_hub
from demo_steps.stage import Stage, StepError

PASSAGE = " ".join((RECIPE / "texts" / ANSWERED_BY).read_text("utf-8").split("\n\n")[0].split())
BUNDLER = """\
#!/bin/sh
printf '%s\\n' "$@" > arguments
mkdir -p kits/kit/head
echo > kits/kit/SHA256SUMS
echo '{"images": [], "models": []}' > kits/kit/head/bundle.json
"""


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    (tmp_path / "logs").mkdir()
    return Stage(tmp_path / "logs")


def test_the_passage_that_holds_the_answer_is_taken() -> None:
    carrying._compare(f"0.71  {ANSWERED_BY}  {PASSAGE}")


@pytest.mark.parametrize(
    "answer",
    [
        f"0.71  tides.txt  {PASSAGE}",
        f"0.71  {ANSWERED_BY}  {PASSAGE} And more.",
        f"0.71  {ANSWERED_BY}  {carrying.QUESTION}",
        f"0.71  {ANSWERED_BY}",
        f"  {ANSWERED_BY}  {PASSAGE}",
        "",
    ],
    ids=["wrong source", "more than the text", "an echo", "no text", "no score", "nothing"],
)
def test_any_other_answer_is_a_failure(answer: str) -> None:
    with pytest.raises(StepError, match=f"expected a passage of {ANSWERED_BY}"):
        carrying._compare(answer)


def arguments_of(stage: Stage, folder: Path, monkeypatch: pytest.MonkeyPatch, *, online: bool) -> list[str]:
    """What ``bundler build`` is called with; online by way of the demo's own sources."""
    program = folder / "bin" / "bundler"
    program.parent.mkdir()
    program.write_text(BUNDLER)
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program.with_name("python")))
    monkeypatch.delenv("PIP_INDEX_URL", raising=False)
    host = ConnectedHost("unix:///nowhere", {"PATH": "/usr/bin:/bin"}, own=False)
    if online:
        with embedded_hub(stage, online=True) as endpoint, embedded_base(stage, host, online=True) as base:
            assert (endpoint, base) == (None, None)
            carrying.build(stage, host, folder, endpoint, base)
    else:
        carrying.build(stage, host, folder, "http://127.0.0.1:1", "debian:1")
    return (folder / "arguments").read_text().split()


def test_online_the_build_is_told_of_no_hub_and_no_base(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = arguments_of(stage, tmp_path, monkeypatch, online=True)
    assert arguments[:2] == ["build", "quickstart"]
    assert "--endpoint" not in arguments
    assert [argument for argument in arguments if argument.startswith("BASE=")] == []


def test_embedded_ones_are_named_to_the_build(stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = arguments_of(stage, tmp_path, monkeypatch, online=False)
    assert arguments[arguments.index("--endpoint") + 1] == "http://127.0.0.1:1"
    assert "BASE=debian:1" in arguments
