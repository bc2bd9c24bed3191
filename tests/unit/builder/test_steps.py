"""Steps are told as they begin and timed as they end."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from bundler.builder.steps import Steps
from bundler.core.progress import SilentProgress


class Told(SilentProgress):
    def __init__(self) -> None:
        self.titles: list[str] = []

    def step(self, title: str) -> None:
        self.titles.append(title)


def test_each_step_is_told_and_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([10.0, 12.5, 12.5, 20.0])
    monkeypatch.setattr("bundler.builder.steps.time", SimpleNamespace(monotonic=lambda: next(times)))
    told = Told()
    steps = Steps(told)
    steps.begin("resolve")
    assert told.titles == ["resolve"]
    assert steps.seconds == (), "it has not ended"
    steps.begin("download")
    steps.end()
    assert told.titles == ["resolve", "download"]
    assert steps.seconds == (("resolve", 2.5), ("download", 7.5))


def test_ending_twice_counts_once() -> None:
    steps = Steps(SilentProgress())
    steps.end()
    assert steps.seconds == ()
    steps.begin("write")
    steps.end()
    steps.end()
    assert [title for title, _ in steps.seconds] == ["write"]
