"""The names that the demo gives to images, and how it takes them back from an engine that is not its own."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence

from bundler.builder.engine_build.tags import CACHE
from demo_steps.stage import Step, StepError

APP = "quickstart:1.0.0"
INSTALLED = ("quickstart:base", APP)


def require_free(step: Step, env: Mapping[str, str]) -> None:
    """Raise StepError where an engine holds an image under a name that the demo would install there, then remove."""
    held = _held(step, env).intersection(INSTALLED)
    if held:
        names = " ".join(sorted(held))
        raise StepError(f"the engine holds {names} already, which the demo installs\ndo: docker image rm {names}")


@contextlib.contextmanager
def cached_images_removed(step: Step, env: Mapping[str, str]) -> Iterator[None]:
    """Remove the images that bundler keeps in this engine for a next build of the same, if they came in this block.

    The demo's next build starts from a base image of another id, so they would serve nobody.
    """
    before = _held(step, env)
    try:
        yield
    finally:
        new = sorted(name for name in _held(step, env) - before if name.startswith(f"{CACHE}:"))
        if new:
            remove_images(step, env, new)


def _held(step: Step, env: Mapping[str, str]) -> set[str]:
    argv = ["docker", "image", "ls", "--format", "{{.Repository}}:{{.Tag}}"]
    return set(step.run(argv, env=env, timeout_s=60).split())


def remove_images(step: Step, env: Mapping[str, str], names: Sequence[str]) -> None:
    """Take names back; what cannot be removed, or was never made, is said in the log."""
    try:
        step.run(["docker", "image", "rm", *names], env={**os.environ, **env}, timeout_s=120)
    except StepError as error:
        step.write(str(error))
