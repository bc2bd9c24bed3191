"""Options that the commands of the isolated host share, and what they make of them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Callable, Optional, TypeVar

import click

from bundler.cli.parameters import FiniteRange
from bundler.cli.progress import MODES
from bundler.core.kit import require_outside_kits
from bundler.installer.engine import Engine
from bundler.installer.host import Host, default_state

Command = TypeVar("Command", bound=Callable[..., Any])


def kit_argument(*, default: Optional[str] = ".") -> Callable[[Command], Command]:
    """``[KIT]``: the kit's directory or a bare tar."""
    return click.argument("kit", type=click.Path(path_type=Path), default=default, required=False)


def json_option(command: Command) -> Command:
    """``--json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")(command)


def progress_option(command: Command) -> Command:
    """``--progress MODE``."""
    option = click.option(
        "--progress", "mode", type=click.Choice(MODES), default="auto", help="How to show progress on standard error."
    )
    return option(command)


def where_in_code_option(command: Command) -> Command:
    """``--where-in-code``."""
    option = click.option(
        "--where-in-code",
        is_flag=True,
        help="Tell file and line of what Python processes of checks try to reach; they get another PYTHONPATH for it.",
    )
    return option(command)


def lock_timeout_option(whom: str) -> Callable[[Command], Command]:
    """``--lock-timeout SECONDS``; ``whom`` is waited for."""
    return click.option(
        "--lock-timeout",
        "lock_timeout_s",
        type=FiniteRange(min=0),
        default=0.0,
        metavar="SECONDS",
        help=f"Wait so long for {whom}.",
    )


def host_options(command: Command) -> Command:
    """``--host``, ``--state-dir`` and ``--lock-timeout``."""
    return place_options(lock_timeout_option("another run on this host to finish")(command))


def place_options(command: Command) -> Command:
    """``--host`` and ``--state-dir``."""
    for option in (
        click.option(
            "--state-dir",
            type=click.Path(path_type=Path, file_okay=False),
            help="Where receipts stand [/var/lib/bundler as root, else $XDG_STATE_HOME/bundler].",
        ),
        click.option("--host", "url", metavar="URL", help="The engine [DOCKER_HOST, the context, the local socket]."),
    ):
        command = option(command)
    return command


def make_host(state_dir: Optional[Path], lock_timeout_s: float) -> Host:
    """This host, with its state where it was asked for or where it belongs."""
    state = state_dir.absolute() if state_dir else default_state(os.environ, os.geteuid())
    require_outside_kits(state, "--state-dir DIR")
    return Host(state, lock_timeout_s=lock_timeout_s)


def make_engine(url: Optional[str]) -> Engine:
    """The engine at ``url``; the SDK is imported here, so that ``--help`` needs none of it."""
    from bundler.core.docker_api import connect  # noqa: PLC0415 - late: half a second
    from bundler.installer.engines.docker import DockerEngine  # noqa: PLC0415 - late: half a second

    return DockerEngine(connect(url))
