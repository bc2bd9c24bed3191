"""The demo as the list of its steps. The end-to-end test of the quickstart goes through the same ones."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from demo_steps import carrying
from demo_steps.carrying import Built
from demo_steps.host_engine import require_programs
from demo_steps.hosts import ConnectedHost, IsolatedHost, connected_host, isolated_host
from demo_steps.signals import undisturbed
from demo_steps.sources import embedded_base, embedded_hub, make_loader
from demo_steps.stage import Stage


@dataclass(frozen=True)
class Shown:
    """What stands when all steps are through, until the hosts are removed."""

    connected: ConnectedHost
    isolated: IsolatedHost
    built: Built
    answer: str


@contextlib.contextmanager
def demonstration(stage: Stage, folder: Path, *, online: bool) -> Iterator[Shown]:
    """Go all the way; leaving the block, and any failure, stops and removes what was started.

    ``folder`` keeps the recipe with its lock, and the kit. Raises StepError or TestbedError; ``stage.failed`` is the
    step that failed.
    """
    stack = contextlib.ExitStack()
    try:
        if os.geteuid() == 0:
            require_programs(stage)
        make_loader(stage)
        connected = stack.enter_context(connected_host(stage))
        endpoint = stack.enter_context(embedded_hub(stage, online))
        base = stack.enter_context(embedded_base(stage, connected, online))
        built = carrying.build(stage, connected, folder, endpoint, base)
        isolated = stack.enter_context(isolated_host(stage, connected, folder / "isolated-host"))
        carrying.install(stage, isolated, built)
        answer = carrying.ask(stage, isolated)
        carrying.audit(stage, isolated, built)
        yield Shown(connected, isolated, built, answer)
    finally:
        with undisturbed(), stage.step("Stop and remove what was started"):
            stack.close()
