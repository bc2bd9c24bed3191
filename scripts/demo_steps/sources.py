"""What a build draws from: the loader, the Hub and the image that the OS of the service starts from."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from demo_steps.hosts import ConnectedHost
from demo_steps.names import remove_images
from demo_steps.stage import Stage, Step, StepError
from testbed import TestbedError, debian, weights
from testbed.hub import Hub, HubRepo

ROOT = Path(__file__).resolve().parents[2]
BASE_TAG = "bundler-demo/debian:bookworm"
_CHANGES = ("ENV PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", 'CMD ["bash"]')


def make_loader(stage: Stage) -> None:
    """Make bundler.pyz, which travels in the kit; a release ships it, a checkout makes it once."""
    with stage.step("The loader that travels") as step:
        argv = [sys.executable, str(ROOT / "scripts" / "build-loader")]
        step.run(argv, env=os.environ, timeout_s=400)
        size = (ROOT / "bundler" / "loader" / "bundler.pyz").stat().st_size
        step.say(f"bundler.pyz, {size / 1e6:.0f} MB, needs Python 3.9 or later and nothing installed")


@contextlib.contextmanager
def embedded_hub(stage: Stage, online: bool) -> Iterator[str | None]:
    """The address of a Hub on loopback that serves the real weights; None where the real Hub is wanted."""
    with contextlib.ExitStack() as stack:
        with stage.step("The Hub") as step:
            endpoint = None if online else stack.enter_context(_serving(step)).endpoint
            step.say(f"{weights.REPO_ID} at {endpoint or 'the real Hub'}")
        yield endpoint


def _serving(step: Step) -> Hub:
    try:
        folder = weights.minilm()
    except RuntimeError as error:  # pip's words: no index, no certificate
        raise StepError(str(error)) from error
    step.write(f"weights in {folder}")
    return Hub([HubRepo(weights.REPO_ID, folder)])


@contextlib.contextmanager
def embedded_base(stage: Stage, host: ConnectedHost, online: bool) -> Iterator[str | None]:
    """The name of a Debian image in the host's engine, gone at the end; None: what the recipe names is pulled."""
    with contextlib.ExitStack() as stack:
        with stage.step("The image to start from") as step:
            tar = None if online else _root_file_system(step)
            if tar is None:
                why = "" if online else " (the embedded one is made as root)"
                step.say(f"the recipe's own, pulled from its registry{why}")
            else:
                changes = [option for change in _CHANGES for option in ("--change", change)]
                argv = ["docker", "import", *changes, str(tar), BASE_TAG]
                step.run(argv, env=host.env, timeout_s=180)
                if not host.own:
                    stack.callback(remove_images, step, host.env, [BASE_TAG])
                step.say(f"{BASE_TAG}, made by debootstrap, {tar.stat().st_size / 1e6:.0f} MB")
        yield BASE_TAG if tar else None


def _root_file_system(step: Step) -> Path | None:
    try:
        made = debian.python_rootfs()
    except TestbedError as error:
        if os.geteuid() == 0:
            raise
        step.write(f"no embedded base: {error}")  # without root only one that was made before can be had
        return None
    step.write("\n".join(f"{name} {version}" for name, version in sorted(made.versions.items())))
    return made.path
