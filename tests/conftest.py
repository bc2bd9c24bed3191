"""Fixtures of real engines, a registry and base images.

Each engine starts when the first test asks for it and serves the whole session; a test removes what it brought. A
test that breaks its engine, fills its disk or looks at all of its images takes ``start_engine``: a new engine costs
less than half a second. What needs an engine is never skipped: where engines cannot run, its tests fail and say why.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from testbed import TestbedError, debian, images
from testbed.engines import (
    DOCKER_20,
    DOCKER_26,
    DOCKER_26_CONTAINERD,
    DOCKER_28,
    DOCKER_28_CONTAINERD,
    EngineDaemon,
    EngineKind,
    RunningEngine,
)
from testbed.netns import Network, isolated
from testbed.registry import registry as running_registry
from tests.support.egress_table import EGRESS
from tests.support.fault_table import FAULTS
from tests.support.printed_tables import print_tables

ENGINES = ("docker20", "docker26", "docker26_containerd", "docker28", "docker28_containerd")
NEEDS_ENGINE = frozenset((*ENGINES, "any_engine", "start_engine", "isolated_host", "busybox"))


def pytest_configure() -> None:
    """What all workers of a run inherit: one seed, a new one each time unless BUNDLER_TEST_SEED says which; one thread.

    And SIGINT, which a shell has its jobs in the background ignore, and all that these start.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.setdefault("BUNDLER_TEST_SEED", str(random.SystemRandom().randrange(1 << 32)))
    # numpy and torch let threads wait for each other at every product of matrices; on cores that others use too, each of
    # these waits lasts until the other thread has its turn again, which makes seconds into minutes.
    os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In ``scripts/test``, as root, a test that is skipped has failed: what it would have shown was not shown."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and _nothing_may_be_skipped():
        report.outcome, report.longrepr = "failed", f"skipped, which scripts/test does not allow: {report.longrepr}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """The same for a whole file."""
    report = yield
    if report.skipped and _nothing_may_be_skipped():
        report.outcome, report.longrepr = "failed", f"skipped, which scripts/test does not allow: {report.longrepr}"
    return report


def _nothing_may_be_skipped() -> bool:
    return os.environ.get("BUNDLER_TEST_SKIPS") == "none" and os.geteuid() == 0


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what uses an engine, so that ``-m 'not engine'`` is all that runs without root."""
    for item in items:
        if NEEDS_ENGINE.intersection(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.engine)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The tables that tests noted rows of."""
    print_tables((FAULTS, EGRESS), terminalreporter)


@contextlib.contextmanager
def _or_fail() -> Iterator[None]:
    """Turn a test bed that cannot run into a failure with its message alone."""
    try:
        yield
    except TestbedError as error:
        raise pytest.fail.Exception(str(error), pytrace=False) from None


@contextlib.contextmanager
def _engine(kind: EngineKind, *, size_bytes: int | None = None, netns: str | None = None) -> Iterator[RunningEngine]:
    with contextlib.ExitStack() as stack:
        with _or_fail():
            daemon = EngineDaemon(kind, size_bytes=size_bytes, netns=netns)
            engine = stack.enter_context(daemon.running())
        yield engine


@pytest.fixture(scope="session")
def docker20() -> Iterator[RunningEngine]:
    """Docker 20.10, overlay2."""
    with _engine(DOCKER_20) as engine:
        yield engine


@pytest.fixture(scope="session")
def docker26() -> Iterator[RunningEngine]:
    """Docker 26, overlay2."""
    with _engine(DOCKER_26) as engine:
        yield engine


@pytest.fixture(scope="session")
def docker26_containerd() -> Iterator[RunningEngine]:
    """Docker 26 with the containerd image store."""
    with _engine(DOCKER_26_CONTAINERD) as engine:
        yield engine


@pytest.fixture(scope="session")
def docker28() -> Iterator[RunningEngine]:
    """Docker 28, overlay2."""
    with _engine(DOCKER_28) as engine:
        yield engine


@pytest.fixture(scope="session")
def docker28_containerd() -> Iterator[RunningEngine]:
    """Docker 28 with the containerd image store."""
    with _engine(DOCKER_28_CONTAINERD) as engine:
        yield engine


@pytest.fixture(scope="session", params=ENGINES)
def any_engine(request: pytest.FixtureRequest) -> RunningEngine:
    """Each of the engines in turn."""
    engine: RunningEngine = request.getfixturevalue(request.param)
    return engine


@pytest.fixture
def start_engine() -> Iterator[Callable[..., RunningEngine]]:
    """``start_engine(kind, size_bytes=None, netns=None)``: a new, empty engine for this test alone."""
    with contextlib.ExitStack() as stack:

        def start(kind: EngineKind, *, size_bytes: int | None = None, netns: str | None = None) -> RunningEngine:
            return stack.enter_context(_engine(kind, size_bytes=size_bytes, netns=netns))

        yield start


@dataclass(frozen=True)
class IsolatedHost:
    """A host without any network but its loopback device, and the engine that runs there."""

    network: Network
    engine: RunningEngine


@pytest.fixture(scope="session")
def isolated_host() -> Iterator[IsolatedHost]:
    """The oldest engine on a host that no network leads to or from."""
    with contextlib.ExitStack() as stack:
        with _or_fail():
            network = stack.enter_context(isolated())
        yield IsolatedHost(network, stack.enter_context(_engine(DOCKER_20, netns=network.name)))


@pytest.fixture(scope="session")
def registry() -> Iterator[str]:
    """The address of a real registry on loopback, ``127.0.0.1:PORT``."""
    with contextlib.ExitStack() as stack:
        with _or_fail():
            debian.install_host_packages()
            address = stack.enter_context(running_registry())
        yield address


@pytest.fixture(scope="session")
def busybox() -> Callable[[RunningEngine, str], str]:
    """``busybox(engine, tag)``: import a base image of 2 MB; gives its id."""
    return images.busybox_image


@pytest.fixture(scope="session")
def bookworm_tar() -> Path:
    """A minimal Debian 12 as a tar, for ``testbed.images.debian_image``."""
    with _or_fail():
        return debian.rootfs("bookworm").path


@pytest.fixture(scope="session")
def bullseye_python_tar() -> Path:
    """A minimal Debian 11 with its Python 3.9 as a tar, for ``testbed.images.debian_image``."""
    with _or_fail():
        return debian.rootfs("bullseye", ["python3"]).path
