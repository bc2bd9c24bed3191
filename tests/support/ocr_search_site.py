"""ocr-search built with real weights from a Hub on loopback, and installed on a host without a network."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demo_steps import carrying
from demo_steps.carrying import Built
from demo_steps.hosts import IsolatedHost, connected_host, isolated_host
from demo_steps.sources import ROOT, embedded_base
from demo_steps.stage import Stage
from testbed import weights
from testbed.hub import Hub, HubRepo

RECIPE = ROOT / "recipes" / "ocr-search"
APP = "ocr-search:1.0.0"
SERVED = "ocr-search"  # the container's name in compose.yaml


@dataclass(frozen=True)
class Site:
    """The isolated host with the installed images, and the kit that they came from."""

    isolated: IsolatedHost
    built: Built
    said: str

    def run(self, *argv: str, timeout_s: float = 300) -> subprocess.CompletedProcess[str]:
        """A command on the isolated host, in the kit's directory."""
        command, env = self.isolated.inside(argv), dict(self.isolated.env)
        return subprocess.run(
            command, env=env, cwd=self.built.kit, capture_output=True, text=True, timeout=timeout_s, check=False
        )

    def docker(self, *arguments: str, timeout_s: float = 300) -> str:
        """``docker`` there; what it printed."""
        done = self.run("docker", *arguments, timeout_s=timeout_s)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def checks(self) -> dict[str, dict[str, Any]]:
        """What the rehearsal found, by the names of the checks."""
        document = json.loads((self.built.kit / "papers" / "checks.json").read_text("utf-8"))
        return {check["name"]: check for check in document["checks"]}


@contextlib.contextmanager
def ocr_search_site(folder: Path) -> Iterator[Site]:
    """Build and install; both hosts are gone at the end."""
    (folder / "logs").mkdir()
    stage = Stage(folder / "logs")
    repos = [HubRepo(carrier.repo_id, weights.repository(carrier)) for carrier in (weights.MINILM, weights.PPOCR)]
    with contextlib.ExitStack() as stack:
        found = stack.enter_context(connected_host(stage))
        # A cache of its own: whatever else builds on this host at the same time, neither waits for the other.
        connected = dataclasses.replace(found, env={**found.env, "XDG_CACHE_HOME": str(folder / "cache")})
        hub = stack.enter_context(Hub(repos))
        base = stack.enter_context(embedded_base(stage, connected, online=False))
        built = carrying.build(stage, connected, folder, hub.endpoint, base, RECIPE)
        isolated = stack.enter_context(isolated_host(stage, connected, folder / "isolated-host"))
        yield Site(isolated, built, carrying.install(stage, isolated, built))
