"""What must be true before a byte is sent: the engine's platform, patterns that can be read, space, payload files.

Each thing that is missing is said with its numbers, and nothing has been changed when it is.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Optional

from bundler.core.bundle import VerifiedBundle
from bundler.core.checks import RunCheck, ServeCheck
from bundler.core.digest import Digest
from bundler.core.errors import EngineError, PreconditionError
from bundler.core.progress import Progress
from bundler.installer.checks.patterns import compile_patterns
from bundler.installer.engine import Engine, EngineFacts
from bundler.installer.plan import Plan, plan_for

#: What else is written beside layers: image configs, tags, containers of the checks (bytes).
MARGIN = 4 << 20


def preflight(
    bundle: VerifiedBundle, engine: Engine, facts: EngineFacts, vouched: Iterable[Digest], progress: Progress
) -> Plan:
    """What is to be sent, once everything that it needs is there; raises EngineError or PreconditionError."""
    require_platform(bundle.manifest.platform, facts)
    for check in bundle.manifest.checks:
        if isinstance(check, (RunCheck, ServeCheck)):
            compile_patterns(check)
    plan = plan_for(bundle.images, engine, facts, frozenset(vouched))
    if facts.free_size is None:
        progress.note(f"the engine does not tell its free space; {plan.peak_size:,} bytes are needed")
    else:
        require_space("the engine's data root", facts.data_root, facts.free_size, plan.peak_size, bool(plan.missing))
    return plan


def require_platform(wanted: str, facts: EngineFacts) -> None:
    """Raise EngineError unless the engine runs images for ``wanted``; a variant counts where both name one."""
    pairs = list(zip(wanted.split("/"), facts.platform.split("/")))
    if any(one != other for one, other in pairs) or len(pairs) < 2:
        raise EngineError(
            f"the bundle is for {wanted}, the engine runs {facts.platform}",
            where=f"{facts.name} {facts.version}",
            remedy=f"install it on a {wanted} host, or build the bundle for {facts.platform}",
        )


def require_space(what: str, place: Optional[Path], free_size: int, needed_size: int, anything: bool = True) -> None:
    """Raise PreconditionError unless ``needed_size`` bytes and a margin are free."""
    if anything and free_size < needed_size + MARGIN:
        raise PreconditionError(
            f"{what} has {_mib(free_size)} free, {_mib(needed_size + MARGIN)} are needed",
            where=str(place or "the engine"),
            remedy=f"free {_mib(needed_size + MARGIN - free_size)} there, then run the same command again",
        )


def require_space_for_files(directory: Path, needed_size: int) -> None:
    """The same for payload files, on the file system that ``directory`` is or will be on."""
    place = next(path for path in (directory, *directory.parents) if path.exists())
    if not os.access(place, os.W_OK | os.X_OK):
        raise PreconditionError(
            "payload files cannot be written there: permission denied, or a read-only file system",
            where=str(place),
            remedy="name another directory with --into DIR",
        )
    if needed_size:
        require_space("the place of the payload files", directory, shutil.disk_usage(place).free, needed_size)


def _mib(size: int) -> str:
    return f"{size / (1 << 20):,.1f} MiB"
