"""The command ``bundler``: a table of commands, each loaded only when it is called.

The same table serves the whole distribution and the loader that travels. A command whose module is not in this
distribution (the loader carries nothing of the builder) does not stand in the list, and says so when it is asked for.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn, Optional

import click

from bundler import __version__
from bundler.cli.boundary import guarded, termination_raises
from bundler.cli.streams import make_usable
from bundler.core.errors import PreconditionError


@dataclass(frozen=True)
class Entry:
    """One command: where its click object stands, and the line that ``--help`` shows without loading it."""

    module: str
    attribute: str
    short_help: str

    def exists(self) -> bool:
        """Whether this distribution carries the command."""
        return importlib.util.find_spec(self.module) is not None

    def load(self) -> click.Command:
        """Import the command; raises PreconditionError if a package that it needs is not installed."""
        try:
            command = getattr(importlib.import_module(self.module), self.attribute)
        except ModuleNotFoundError as error:
            if error.name is None or error.name.partition(".")[0] == "bundler":
                raise
            raise PreconditionError(
                f"`bundler {self.attribute}` needs the package {error.name}, which this Python does not have.",
                where=sys.executable,
                remedy="install airgap-bundler with Python 3.10 or newer; only there it brings what builds bundles",
            ) from error
        if not isinstance(command, click.Command):
            raise TypeError(f"{self.module}.{self.attribute} is not a click command")
        return command


# In the order in which people meet them: the connected host first, then the isolated one.
COMMANDS = {
    "init": Entry("bundler.cli.init", "init", "Start a recipe: a small one with comments, or from a real service."),
    "lint": Entry("bundler.cli.lint", "lint", "Find what would reach for the network when a service runs."),
    "lock": Entry("bundler.cli.lock", "lock", "Write what a recipe resolves to now: commits, sizes, digests."),
    "fetch": Entry("bundler.cli.fetch", "fetch", "Download the models of a recipe, without building."),
    "build": Entry("bundler.cli.build", "build", "Build a kit from a recipe."),
    "cache": Entry("bundler.cli.cache", "cache", "List, verify, repair or prune what was downloaded."),
    "inspect": Entry("bundler.cli.inspect", "inspect", "Show the images, models, layers and sizes of a kit."),
    "verify": Entry("bundler.cli.verify", "verify", "Read every byte of a kit and compare it with its checksums."),
    "install": Entry("bundler.cli.install", "install", "Bring a kit into Docker on this host (20.10 or later)."),
    "check": Entry("bundler.cli.check", "check", "Run the checks of a bundle, a kit or an image without a network."),
    "audit": Entry("bundler.cli.audit", "audit", "Compare what is installed with the bundle it came from."),
    "report": Entry("bundler.cli.report", "report", "Write what was proved, and what was not, as a page for people."),
}


class LateGroup(click.Group):
    """A group that knows its commands by name and imports the one that is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 (click's signature)
        """The names of the commands that this distribution carries, in the table's order."""
        return [name for name, entry in COMMANDS.items() if entry.exists()]

    def get_command(self, ctx: click.Context, cmd_name: str) -> Optional[click.Command]:
        """Import one command, and let ``--debug`` stand after its name as well as before it."""
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        if not entry.exists():
            raise click.UsageError(
                f"'{cmd_name}' is not part of this distribution: install airgap-bundler on a connected host.", ctx
            )
        command = entry.load()
        known = {option for parameter in command.params for option in parameter.opts}
        if "--debug" not in known:
            command.params.append(_debug_option(hidden=True))
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands from the table, without importing any."""
        rows = [(name, COMMANDS[name].short_help) for name in self.list_commands(ctx)]
        if rows:
            with formatter.section("Commands"):
                formatter.write_dl(rows)


def _debug_option(*, hidden: bool) -> click.Option:
    # The boundary reads it from the command line itself, so that it also holds while the line is being parsed.
    return click.Option(
        ["--debug"], is_flag=True, expose_value=False, hidden=hidden, help="Show the traceback of an error."
    )


@click.group(
    cls=LateGroup,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    params=[_debug_option(hidden=False)],
)
@click.version_option(__version__, "-V", "--version", prog_name="bundler", message="%(prog)s %(version)s")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Carry machine-learning services across an air gap."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help(), err=True)
        ctx.exit(2)


def run(arguments: Sequence[str]) -> int:
    """Run one command line (without the program's name) and return its exit code; errors are told on stderr."""
    # Up to ``--``, whatever the command: errors of the command line itself are shown in the form that was asked for.
    options = list(arguments)[: arguments.index("--")] if "--" in arguments else arguments

    def invoke() -> int:
        # Not click's own main(): that one takes every EPIPE, an engine's socket too, for a closed terminal.
        with cli.make_context("bundler", list(arguments)) as context:
            result = cli.invoke(context)
        return result if isinstance(result, int) else 0

    return guarded(invoke, as_json="--json" in options, debug="--debug" in options)


def main() -> NoReturn:
    """Entry of the console script, of ``python -m bundler`` and of the loader."""
    make_usable()
    with termination_raises():
        code = run(sys.argv[1:])
    sys.exit(code)
