"""Noticing a connection that stands still, or as good as."""

from __future__ import annotations

from bundler.builder.hub.retry import RetryPolicy, TransientError


class Pace:
    """One connection's speed, over the time that was spent waiting for it: a limit of our own does not count."""

    def __init__(self, policy: RetryPolicy, host: str) -> None:
        self._policy = policy
        self._host = host
        self._waited_s = 0.0
        self._came = 0

    def heard(self, size: int, waited_s: float) -> None:
        """``size`` bytes came after ``waited_s``; raises TransientError once a whole window was too slow."""
        self._waited_s += waited_s
        self._came += size
        if self._waited_s < self._policy.stall_window_s:
            return
        speed = self._came / self._waited_s
        if speed < self._policy.stall:
            window = self._policy.stall_window_s
            raise TransientError(f"{self._host} sends next to nothing ({speed:.0f} bytes/s over {window:g} s)")
        self._waited_s, self._came = 0.0, 0
