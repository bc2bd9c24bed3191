"""Bandwidth over all connections, connections over all files, and the order to stop."""

from __future__ import annotations

import threading
import time

import pytest

from bundler.builder.hub.limits import HaltedError, Limits, Rate
from bundler.builder.hub.retry import RetryPolicy


class Watch:
    def __init__(self) -> None:
        self.time = 0.0

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds

    def chance(self) -> float:
        return 0.5


def test_the_rate_holds_over_all_who_take() -> None:
    watch = Watch()
    rate = Rate(1000, watch)
    for _ in range(50):
        rate.take(100)
    assert watch.time == pytest.approx(5.0)
    watch.time += 100  # what was not used is not saved up
    rate.take(1000)
    rate.take(1000)
    assert watch.time == pytest.approx(107.0)


def test_no_rate_waits_for_nothing() -> None:
    watch = Watch()
    Rate(None, watch).take(1 << 40)
    assert watch.time == 0


def test_no_more_connections_than_allowed() -> None:
    limits, at_once, most = Limits.of(RetryPolicy(), connections=3), [0], [0]
    lock, full = threading.Lock(), threading.Barrier(3)

    def work() -> None:
        with limits.connection():
            with lock:
                at_once[0] += 1
                most[0] = max(most[0], at_once[0])
            full.wait(60)  # on a busy host one thread may be done before the next one begins
            time.sleep(0.01)
            with lock:
                at_once[0] -= 1

    threads = [threading.Thread(target=work) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [3]


def test_a_halt_ends_waiting_for_time_and_for_a_connection() -> None:
    limits = Limits.of(RetryPolicy(), connections=1)
    ended: list[str] = []

    def sleeper() -> None:
        with pytest.raises(HaltedError):
            limits.clock.sleep(3600)
        ended.append("sleeper")

    def waiter() -> None:
        with pytest.raises(HaltedError), limits.connection():
            ended.append("never")
        ended.append("waiter")

    with limits.connection():
        threads = [threading.Thread(target=each) for each in (sleeper, waiter)]
        for thread in threads:
            thread.start()
        limits.halt.set()
        for thread in threads:
            thread.join(30)
    assert sorted(ended) == ["sleeper", "waiter"]
    with pytest.raises(HaltedError):
        limits.check()
