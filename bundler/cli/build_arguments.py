"""``--build-arg``, which decides about ``FROM`` lines and so about locks, too."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from bundler.core.errors import UsageError

Command = TypeVar("Command", bound=Callable[..., Any])


def build_arg_option(command: Command) -> Command:
    """``--build-arg NAME=VALUE``."""
    option = click.option(
        "--build-arg", "build_args", metavar="NAME=VALUE", multiple=True, help="A build argument; may be repeated."
    )
    return option(command)


def pairs(texts: Sequence[str]) -> dict[str, str]:
    """Names and values; raises UsageError for anything else."""
    return dict(_pair(text) for text in texts)


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise UsageError(f"{text!r} is not NAME=VALUE", where="--build-arg", remedy="write --build-arg NAME=VALUE")
    return name, value
