"""The command line of ``scripts/demo``: options, one run at a time, and the last line that says how it went."""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import os
import platform
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from demo_steps.demonstration import Shown, demonstration
from demo_steps.signals import Interrupted, ended_by_signals
from demo_steps.stage import Stage, StepError
from testbed import TestbedError

_MB = 1e6


def main(arguments: Sequence[str]) -> int:
    """Run the demo; the exit code is 0 only when every step did what it is there for and all was removed again."""
    options = _parser().parse_args(arguments)
    folder = options.output.resolve()
    stage = Stage(folder / "logs")
    began = time.monotonic()
    try:
        _require_platform()
        with ended_by_signals(), _alone(folder), demonstration(stage, folder, online=options.online) as shown:
            pass
    except (StepError, TestbedError, OSError) as error:
        return _failed(stage, str(error), 1)
    except Interrupted as error:
        return _failed(stage, f"interrupted by {error}", error.exit_code)
    print(f"kit: {shown.built.kit}\nlogs: {stage.logs}")
    print(last_line(stage, shown, time.monotonic() - began))
    return 0


def _require_platform() -> None:
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        raise StepError("the quickstart is for linux/amd64, which this host is not")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="demo",
        description="The whole way with real weights: from a recipe to an answer on a host without a network.",
    )
    parser.add_argument("--online", action="store_true", help="the real Hub and a registry, in place of embedded ones")
    parser.add_argument(
        "--output",
        type=Path,
        metavar="DIR",
        default=_cache() / "bundler-demo",
        help="where the recipe with its lock, the kit and the logs are kept until the next run [%(default)s]",
    )
    return parser


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Make the folders; ``StepError`` where another run uses them."""
    (folder / "logs").mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StepError(f"another demo uses {folder}\ndo: wait for it, or give --output another folder") from error
        for log in (folder / "logs").glob("*.log"):
            log.unlink()
        yield


def _failed(stage: Stage, reason: str, code: int) -> int:
    sys.stdout.flush()
    step = stage.failed
    if step is None:
        print(f"demo: failed: {reason}", file=sys.stderr)
        return code
    step.write(reason.partition("\n")[0])
    print(f"demo: failed in step {step.number} ({step.title}): {reason}\nlog: {step.log}", file=sys.stderr)
    return code


def last_line(stage: Stage, shown: Shown, seconds: float) -> str:
    """``demo: ok`` with sizes and times."""
    built = shown.built
    times = [f"{step.title.split()[-1]} {step.seconds:.0f} s" for step in stage.steps if "bundler" in step.title]
    return (
        f"demo: ok: kit {built.size / _MB:.0f} MB of {built.raw_size / _MB:.0f} MB of layers, "
        f"model {built.model_size / _MB:.0f} MB; {', '.join(times)}; all {seconds:.0f} s"
    )
