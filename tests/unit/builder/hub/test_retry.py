"""The policy: which attempts use up the budget, how long the pauses are, and when time is up."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from bundler.builder.hub.retry import ADVANCE_BYTES, ExhaustedError, RetryPolicy, TransientError, retried

EXACT = RetryPolicy(attempts=4, first_delay_s=1, factor=2, jitter=0, longest_delay_s=5, deadline_s=100)


@dataclass
class Watch:
    """Time that passes only by sleeping."""

    time: float = 0.0
    slept: list[float] = field(default_factory=list)

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += seconds

    def chance(self) -> float:
        return 0.5


@dataclass
class Line:
    """Brings what ``brings`` says in each attempt, and fails until that is used up."""

    brings: list[int]
    retry_after_s: float | None = None
    here: int = 0
    attempts: int = 0

    def __call__(self) -> str:
        self.attempts += 1
        if not self.brings:
            return "done"
        self.here += self.brings.pop(0)
        raise TransientError("cut", self.retry_after_s)


def run(line: Line, watch: Watch, policy: RetryPolicy = EXACT) -> str:
    return retried(line, policy, watch, lambda *_: None, lambda: line.here)


def test_pauses_double_up_to_the_longest() -> None:
    watch = Watch()
    policy = RetryPolicy(attempts=7, first_delay_s=1, factor=2, jitter=0, longest_delay_s=5)
    assert run(Line([0] * 6), watch, policy) == "done"
    assert watch.slept == [1, 2, 4, 5, 5, 5]


def test_the_budget_is_of_attempts_in_a_row_that_bring_nothing() -> None:
    with pytest.raises(ExhaustedError) as caught:
        run(Line([0] * 9), Watch())
    assert caught.value.attempts == 4
    assert caught.value.in_time


def test_attempts_that_advance_do_not_use_it_up_and_pauses_begin_anew() -> None:
    watch = Watch()
    line = Line([0, 0, ADVANCE_BYTES, 0, 0, ADVANCE_BYTES, 0, 0])
    assert run(line, watch) == "done"
    assert line.attempts == 9
    assert watch.slept == [1, 2, 1, 2, 4, 1, 2, 4]


def test_many_small_advances_count_together_and_a_trickle_does_not() -> None:
    assert run(Line([ADVANCE_BYTES // 2] * 20), Watch()) == "done"
    with pytest.raises(ExhaustedError):
        run(Line([1] * 20), Watch())


def test_beginning_anew_is_no_advance() -> None:
    """A file that is thrown away and comes again has brought nothing that was not here before."""
    line = Line([ADVANCE_BYTES * 2, -ADVANCE_BYTES * 2, ADVANCE_BYTES, ADVANCE_BYTES // 2, 0, 0])
    with pytest.raises(ExhaustedError) as caught:
        run(line, Watch())
    assert caught.value.attempts == 4


def test_what_a_server_asks_for_is_waited_for_even_beyond_the_longest_pause() -> None:
    watch = Watch()
    run(Line([0], retry_after_s=30), watch)
    assert watch.slept == [30]


def test_the_deadline_ends_it_before_a_pause_that_would_pass_it() -> None:
    watch = Watch()
    with pytest.raises(ExhaustedError) as caught:
        run(Line([ADVANCE_BYTES] * 99, retry_after_s=30), watch)
    assert watch.slept == [30, 30, 30]
    assert not caught.value.in_time


def test_chance_moves_a_pause_by_its_part_only() -> None:
    policy = RetryPolicy(first_delay_s=10, jitter=0.25)
    assert [policy.delay_s(1, None, chance) for chance in (0.0, 0.5, 1.0)] == [7.5, 10, 12.5]


def test_a_thousand_failures_do_not_overflow() -> None:
    assert RetryPolicy(jitter=0).delay_s(100_000, None, 0.5) == 60


def test_other_errors_pass_at_once() -> None:
    def fails() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        retried(fails, EXACT, Watch(), lambda *_: None)
