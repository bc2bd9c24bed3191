"""The names that the demo gives to images, and how it takes them back from an engine that is not its own."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from demo_steps.stage import Step, StepError

APP = "quickstart:1.0.0"
INSTALLED = ("quickstart:base", APP)


def require_free(step: Step, env: Mapping[str, str]) -> None:
    """Raise StepError where an engine holds an image under a name that the demo would install there, then remove."""
    argv = ["docker", "image", "ls", "--format", "{{.Repository}}:{{.Tag}}"]
    held = set(step.run(argv, env=env, timeout_s=60).split()).intersection(INSTALLED)
    if held:
        names = " ".join(sorted(held))
        raise StepError(f"the engine holds {names} already, which the demo installs\ndo: docker image rm {names}")


def remove_images(step: Step, env: Mapping[str, str], names: Sequence[str]) -> None:
    """Take names back; what cannot be removed, or was never made, is said in the log."""
    try:
        step.run(["docker", "image", "rm", *names], env={**os.environ, **env}, timeout_s=120)
    except StepError as error:
        step.write(str(error))
