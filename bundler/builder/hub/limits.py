"""What all downloads of a run share: the policy, the connections, the bandwidth, and the order to stop."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from bundler.builder.hub.retry import Clock, RetryPolicy, SystemClock


class HaltedError(Exception):
    """The run was stopped by another of its files, or by a person; whatever is here stays."""


class Rate:
    """A limit in bytes per second over all connections together; ``None`` is no limit.

    Each taker books the next free moment of the line, so that the sum over all of them keeps the rate.
    """

    def __init__(self, bytes_per_s: int | None, clock: Clock) -> None:
        self.bytes_per_s = bytes_per_s
        self._clock = clock
        self._free_at = 0.0
        self._lock = threading.Lock()

    def take(self, size: int) -> None:
        """Wait until ``size`` bytes may have passed."""
        if self.bytes_per_s is None:
            return
        with self._lock:
            now = self._clock.now()
            self._free_at = max(now, self._free_at) + size / self.bytes_per_s
            pause_s = self._free_at - now
        if pause_s > 0:
            self._clock.sleep(pause_s)


class HaltingClock:
    """A clock whose waiting ends by HaltedError where the run was stopped meanwhile."""

    def __init__(self, clock: Clock, halt: threading.Event) -> None:
        self._clock = clock
        self._halt = halt

    def now(self) -> float:
        """Seconds since some moment."""
        return self._clock.now()

    def chance(self) -> float:
        """A number from 0 to 1."""
        return self._clock.chance()

    def sleep(self, seconds: float) -> None:
        """Let ``seconds`` pass, or raise HaltedError."""
        self._clock.sleep(seconds)
        if self._halt.is_set():
            raise HaltedError


@dataclass(frozen=True)
class Limits:
    """Shared by every file of a run; ``connections`` counts over all of them, ``halt`` stops all of them."""

    policy: RetryPolicy
    connections: int
    rate: Rate
    clock: Clock
    halt: threading.Event
    _free: threading.Semaphore = field(repr=False)

    @classmethod
    def of(
        cls, policy: RetryPolicy, connections: int = 8, limit_rate: int | None = None, clock: Clock | None = None
    ) -> Limits:
        """Limits for one run."""
        halt = threading.Event()
        halting = HaltingClock(clock or SystemClock(halt), halt)
        return cls(policy, connections, Rate(limit_rate, halting), halting, halt, threading.Semaphore(connections))

    @contextmanager
    def connection(self) -> Iterator[None]:
        """Hold one of the connections; raises HaltedError where the run was stopped meanwhile."""
        while not self._free.acquire(timeout=0.2):
            self.check()
        try:
            self.check()
            yield
        finally:
            self._free.release()

    def check(self) -> None:
        """Raise HaltedError once the run was stopped."""
        if self.halt.is_set():
            raise HaltedError
