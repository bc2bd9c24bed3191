"""How often and how patiently a download is tried again: the policy is data, one function applies it."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

Result = TypeVar("Result")


class Clock(Protocol):
    """The edge to time, so that tests wait for nothing."""

    def sleep(self, seconds: float) -> None:
        """Let ``seconds`` pass."""


class SystemClock:
    """Real time."""

    def sleep(self, seconds: float) -> None:
        """Let ``seconds`` pass."""
        time.sleep(seconds)


class TransientError(Exception):
    """An attempt failed in a way that may pass: a timeout, a cut, a busy server, a wrong digest."""

    def __init__(self, what: str, retry_after_s: float | None = None) -> None:
        super().__init__(what)
        self.retry_after_s = retry_after_s


class ExhaustedError(Exception):
    """Every attempt failed; ``attempts`` counts them, the cause is the last one's."""

    def __init__(self, attempts: int, last: TransientError) -> None:
        super().__init__(str(last))
        self.attempts = attempts


@dataclass(frozen=True)
class RetryPolicy:
    """Attempts at one file, and the pause between them: ``first_delay_s`` times ``factor`` for each further one.

    ``jitter`` is the part of the pause (0 to 1) that is left to chance. A server's own ``Retry-After`` is honoured up
    to ``longest_delay_s``. ``stall_s`` is how long an attempt may stand still.
    """

    attempts: int = 3
    first_delay_s: float = 10.0
    factor: float = 2.0
    jitter: float = 0.2
    longest_delay_s: float = 120.0
    stall_s: float = 60.0

    def delay_s(self, failed: int, asked_s: float | None) -> float:
        """Seconds to wait after the attempt number ``failed`` (from 1)."""
        planned = self.first_delay_s * self.factor ** (failed - 1)
        planned *= 1 + self.jitter * (2 * random.random() - 1)  # noqa: S311 - spreads load, keeps no secret
        return min(max(planned, asked_s or 0.0), self.longest_delay_s)


def retried(
    action: Callable[[], Result],
    policy: RetryPolicy,
    clock: Clock,
    on_failure: Callable[[int, TransientError, float], None],
) -> Result:
    """Call ``action`` until it gives a result.

    Only TransientError is worth another attempt; after the last one ExhaustedError is raised. ``on_failure`` hears of
    each failed attempt: its number, why, and the seconds until the next.
    """
    for attempt in range(1, policy.attempts + 1):
        try:
            return action()
        except TransientError as error:
            if attempt == policy.attempts:
                raise ExhaustedError(attempt, error) from error
            pause_s = policy.delay_s(attempt, error.retry_after_s)
            on_failure(attempt, error, pause_s)
            clock.sleep(pause_s)
    raise ValueError("a policy needs one attempt at least")
