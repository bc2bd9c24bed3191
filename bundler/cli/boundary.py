"""The one error boundary: whatever ends a command becomes three lines (or one JSON object) and an exit code.

Promises to a person: never a traceback without ``--debug``; ``what`` happened, ``where``, and what to ``do``; every
finding of a step indented below the first line. Promises to a program: the exit codes of ``docs/exit-codes.md``, and
with ``--json`` one object on standard error with the same content.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import click

from bundler.cli.streams import detach
from bundler.core.errors import (
    BundlerError,
    InterruptedRun,
    PreconditionError,
    UsageError,
    add_problems,
    problems_of,
)

EXIT_DEFECT = 70  # EX_SOFTWARE of sysexits.h: the program itself is at fault
EXIT_BROKEN_PIPE = 128 + signal.SIGPIPE  # what a shell shows for a program whose reader went away

# What the host lacks rather than what bundler does wrong. Other errors of the system were not expected by the code
# that met them, and are shown as the defects they are.
_OF_THE_HOST = {
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
    errno.EROFS: "the file system is read-only",
    errno.ENOSPC: "no space left on the device",
    errno.EDQUOT: "the disk quota is used up",
    errno.EMFILE: "too many open files",
    errno.ENFILE: "too many open files on this host",
    errno.ENOMEM: "not enough memory",
    errno.EIO: "the device answered with an input/output error",
    errno.ENAMETOOLONG: "a name is longer than the file system takes",
    errno.ELOOP: "symbolic links lead in a circle",
    errno.ENOTDIR: "a part of the path is not a directory",
    errno.EISDIR: "it is a directory",
}
_REMEDIES = {
    errno.EACCES: "run it as a user who may do this, or give the path to this user",
    errno.EPERM: "run it as a user who may do this, or give the path to this user",
    errno.EROFS: "choose a place that can be written",
    errno.ENOSPC: "free space there, or choose another place; then run the same command again",
    errno.EDQUOT: "free space there, or choose another place; then run the same command again",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ELOOP: "look at the links of the path",
    errno.ENOTDIR: "look at the path",
    errno.EISDIR: "name a file",
    errno.EIO: "look at the kernel's log (dmesg); try another drive or a fresh copy of the medium",
}


class Terminated(KeyboardInterrupt):
    """SIGTERM, raised where the program stood, so that ``with`` blocks undo what was begun as after Ctrl-C."""


class Defect(BundlerError):  # noqa: N818 (named for what it is, like its siblings that say whose fault it is)
    """An exception that nobody expected: bundler's own fault."""

    exit_code = EXIT_DEFECT


@contextmanager
def termination_raises() -> Iterator[None]:
    """While it is open, SIGTERM raises `Terminated` in the main thread instead of ending the process at once."""

    def raise_terminated(_number: int, _frame: FrameType | None) -> None:
        raise Terminated

    before = signal.signal(signal.SIGTERM, raise_terminated)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def guarded(action: Callable[[], int], *, as_json: bool = False, debug: bool = False) -> int:
    """Run ``action`` and return the exit code; whatever it raises is told on standard error."""
    try:
        code = action()
        sys.stdout.flush()
    except BrokenPipeError:
        detach(sys.stdout)
        return EXIT_BROKEN_PIPE
    except click.exceptions.Exit as done:
        return done.exit_code
    except (Exception, KeyboardInterrupt) as caught:  # noqa: BLE001 (this is the boundary: nothing passes it)
        error = translated(caught)
        _tell(error, as_json=as_json)
        if debug:
            traceback.print_exception(type(caught), caught, caught.__traceback__)
        return error.exit_code
    else:
        return code


def translated(caught: BaseException) -> BundlerError:
    """The `BundlerError` that says to a person what ``caught`` means, and what was said with it."""
    if isinstance(caught, BundlerError):
        return caught
    error = _meaning_of(caught)
    add_problems(error, problems_of(caught))
    return error


def _meaning_of(caught: BaseException) -> BundlerError:
    if isinstance(caught, (KeyboardInterrupt, click.Abort)):
        return _interrupted(caught)
    if isinstance(caught, click.FileError):
        return _of_file(caught)
    if isinstance(caught, click.ClickException):
        return _of_usage(caught)
    if isinstance(caught, OSError) and caught.errno in _OF_THE_HOST:
        return _of_host(caught, caught.errno)
    if isinstance(caught, MemoryError):
        return _of_host(OSError(errno.ENOMEM, ""), errno.ENOMEM)
    return _defect(caught)


def as_object(error: BundlerError) -> dict[str, object]:
    """What ``--json`` shows of an error: one key, so that a program tells it from a result at a glance."""
    return {
        "error": {
            "kind": type(error).__name__,
            "exit_code": error.exit_code,
            "what": error.what,
            "where": error.where,
            "do": error.remedy,
            "problems": [{"where": p.where, "what": p.what, "do": p.remedy} for p in error.problems],
        }
    }


def _interrupted(caught: BaseException) -> InterruptedRun:
    terminated = isinstance(caught, Terminated)
    return InterruptedRun(
        "Interrupted by SIGTERM." if terminated else "Interrupted.",
        where=_command_line(),
        remedy="run the same command again; it takes up what was begun",
        signal_number=signal.SIGTERM if terminated else signal.SIGINT,
    )


def _of_file(caught: click.FileError) -> PreconditionError:
    return PreconditionError(
        caught.format_message(), where=os.fsdecode(caught.filename), remedy="name a file that can be read"
    )


def _of_usage(caught: click.ClickException) -> UsageError:
    context = getattr(caught, "ctx", None)
    path = context.command_path if context else "bundler"
    return UsageError(caught.format_message(), where=path, remedy=f"see `{path} --help`")


def _of_host(caught: OSError, number: int) -> PreconditionError:
    paths = [os.fsdecode(path) for path in (caught.filename, caught.filename2) if isinstance(path, (str, bytes))]
    return PreconditionError(
        f"The host refused: {_OF_THE_HOST[number]}.",
        where=" -> ".join(paths) or _place(caught),
        remedy=_REMEDIES.get(number, "raise the limit, or end other programs, and run the same command again"),
    )


def _defect(caught: BaseException) -> Defect:
    message = " ".join(str(caught).split())
    return Defect(
        f"This is a defect in bundler: {type(caught).__name__}" + (f": {message}" if message else "."),
        where=_place(caught),
        remedy="run it again as `bundler --debug …` and report the output; what was begun can be taken up or undone",
    )


def _place(caught: BaseException) -> str:
    """File, line and function of bundler's own code that is nearest to what was raised."""
    frames = traceback.extract_tb(caught.__traceback__)
    own = [frame for frame in frames if f"{os.sep}bundler{os.sep}" in frame.filename]
    if not (own or frames):
        return _command_line()
    frame = (own or frames)[-1]
    return f"{Path(frame.filename).name}, line {frame.lineno}, in {frame.name}"


def _command_line() -> str:
    return " ".join(["bundler", *sys.argv[1:2]])


def _tell(error: BundlerError, *, as_json: bool) -> None:
    text = json.dumps(as_object(error), ensure_ascii=True) if as_json else str(error)
    try:
        print(text, file=sys.stderr, flush=True)  # noqa: T201 (the one place where an error is shown)
    except OSError:  # its reader is gone, its disk is full: the exit code tells it
        detach(sys.stderr)
