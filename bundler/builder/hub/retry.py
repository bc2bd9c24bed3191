"""How often and how patiently a download is tried again: the policy is data, one function applies it."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

Result = TypeVar("Result")
#: So many bytes more than ever before, and a download has advanced.
ADVANCE_BYTES = 64 << 10


class Clock(Protocol):
    """The edge to time and chance, so that tests wait for nothing."""

    def now(self) -> float:
        """Seconds since some moment."""

    def sleep(self, seconds: float) -> None:
        """Let ``seconds`` pass."""

    def chance(self) -> float:
        """A number from 0 to 1."""


class SystemClock:
    """Real time, and the generator of ``random``. Waiting ends early once ``halt`` is set."""

    def __init__(self, halt: threading.Event | None = None) -> None:
        self._halt = halt or threading.Event()

    def now(self) -> float:
        """Seconds since some moment."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Let ``seconds`` pass."""
        self._halt.wait(seconds)

    def chance(self) -> float:
        """A number from 0 to 1."""
        return random.random()  # noqa: S311 - spreads load, keeps no secret


class TransientError(Exception):
    """An attempt failed in a way that may pass: a timeout, a cut, a busy server, a name that is not found now."""

    def __init__(self, what: str, retry_after_s: float | None = None) -> None:
        super().__init__(what)
        self.retry_after_s = retry_after_s


class ExhaustedError(Exception):
    """The budget is used up; ``attempts`` counts all of them, the cause is the last one's."""

    def __init__(self, attempts: int, last: TransientError, *, in_time: bool = True) -> None:
        super().__init__(str(last))
        self.attempts = attempts
        self.in_time = in_time


@dataclass(frozen=True)
class RetryPolicy:
    """How patient a download is.

    ``attempts`` in a row may bring nothing; one that advances (`ADVANCE_BYTES`) begins the count anew. The pause after
    the first is ``first_delay_s``, times ``factor`` after each further one, at most ``longest_delay_s``; ``jitter`` is
    the part of it (0 to 1) that is left to chance. A server's ``Retry-After`` is waited for even where it is longer,
    within ``deadline_s``, the longest time for one file with all of its attempts. ``timeout_s`` is the longest wait
    for a connection or for the next byte, ``stall`` the bytes per second below which a connection over
    ``stall_window_s`` counts as stalled.
    """

    attempts: int = 10
    first_delay_s: float = 1.0
    factor: float = 2.0
    jitter: float = 0.25
    longest_delay_s: float = 60.0
    deadline_s: float = 24 * 3600.0
    timeout_s: float = 20.0
    stall: int = 1024
    stall_window_s: float = 30.0

    def delay_s(self, failed: int, asked_s: float | None, chance: float) -> float:
        """Seconds to wait after ``failed`` attempts in a row (from 1)."""
        planned = min(self.first_delay_s * self.factor ** min(failed - 1, 64), self.longest_delay_s)
        planned *= 1 + self.jitter * (2 * chance - 1)
        return max(planned, asked_s or 0.0)


def retried(
    action: Callable[[], Result],
    policy: RetryPolicy,
    clock: Clock,
    on_failure: Callable[[int, TransientError, float], None],
    advanced: Callable[[], int] = lambda: 0,
) -> Result:
    """Call ``action`` until it gives a result.

    Only TransientError is worth another attempt; when the budget is used up, ExhaustedError is raised. ``on_failure``
    hears of each failed attempt: its number, why, and the seconds until the next. ``advanced`` says how many bytes are
    here by now.
    """
    began, total, in_a_row, mark = clock.now(), 0, 0, advanced()
    while True:
        try:
            return action()
        except TransientError as error:
            total += 1
            if (here := advanced()) - mark >= ADVANCE_BYTES:
                mark, in_a_row = here, 0
            in_a_row += 1
            if in_a_row >= policy.attempts:
                raise ExhaustedError(total, error) from error
            pause_s = policy.delay_s(in_a_row, error.retry_after_s, clock.chance())
            if clock.now() + pause_s - began > policy.deadline_s:
                raise ExhaustedError(total, error, in_time=False) from error
            on_failure(total, error, pause_s)
            clock.sleep(pause_s)
