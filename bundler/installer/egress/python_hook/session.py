"""The hook in a session of checks: a directory of this host that containers see, and what is heard through it.

Nothing of an image changes. Its containers get one more directory, read-only, and ``PYTHONPATH`` begins with it; what
the image or the check has in that variable follows.
"""

from __future__ import annotations

import os
import pkgutil
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from errno import ECONNREFUSED
from pathlib import Path

from bundler.core.digest import Digest
from bundler.core.docker_api import EngineRefusedError
from bundler.installer.egress.holder_image import PROGRAM
from bundler.installer.egress.python_hook.bundler_calls import SOCKET
from bundler.installer.egress.python_hook.reports import Heard, Reports, short_address
from bundler.installer.engine import Engine, Holder, RunSpec

#: Where a container sees the directory.
INSIDE = "/bundler-where-in-code"
FILES = ("sitecustomize.py", "bundler_calls.py")
_VARIABLE = "PYTHONPATH"
_PREFIX, _SEEN = "bundler-where-in-code-", "seen"
_TRIAL_S = 10.0


class HookRefusedError(Exception):
    """Why the hook cannot be used here; nothing is wrong with the checks."""


class Hook:
    """What a run gets so that its Python processes tell where they call out."""

    def __init__(self, engine: Engine, directory: Path, reports: Reports) -> None:
        self._engine = engine
        self._directory = directory
        self._reports = reports

    def hooked(self, image_id: Digest, spec: RunSpec) -> RunSpec:
        """``spec`` with the directory and the variable; raises EngineError where the image cannot be looked at."""
        held = self._engine.find(image_id)
        theirs = spec.env.get(_VARIABLE, held.config.variables.get(_VARIABLE, "") if held else "")
        path = f"{INSIDE}:{theirs}" if theirs else INSIDE
        return replace(spec, env={**spec.env, _VARIABLE: path}, mounts={**spec.mounts, INSIDE: self._directory})

    def collect(self, since: float) -> Heard:
        """What the processes of the run that began at ``since`` told; to be called when it has ended."""
        return self._reports.collect(since)


@contextmanager
def python_hook(engine: Engine, holder: Holder) -> Iterator[Hook]:
    """The hook, for as long as the block runs. Raises HookRefusedError where containers cannot see the directory."""
    _clear()
    with tempfile.TemporaryDirectory(prefix=_PREFIX) as private:
        directory = Path(private, _SEEN)  # below one that nobody else on this host may enter
        _fill(directory)
        try:
            reports = Reports(directory / SOCKET)
        except OSError as error:
            raise HookRefusedError(f"no socket can be made in {directory}: {error}") from error
        try:
            hook = Hook(engine, directory, reports)
            _try_it(engine, holder, hook)
            yield hook
        finally:
            reports.close()


def _clear() -> None:
    """Remove the directories of killed runs: nobody listens at their sockets any more."""
    for private in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError):
            if private.lstat().st_uid == os.geteuid() and _is_deaf(private / _SEEN / SOCKET):
                shutil.rmtree(private)


def _is_deaf(path: Path) -> bool:
    """Whether nobody listens at the socket there (any more)."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock, short_address(path) as address:
        return sock.connect_ex(address) == ECONNREFUSED


def _fill(directory: Path) -> None:
    directory.mkdir()
    directory.chmod(0o755)
    for name in FILES:
        content = pkgutil.get_data(__package__, name)
        if content is None:
            raise HookRefusedError(f"this bundler does not carry {name}")
        (directory / name).write_bytes(content)
        (directory / name).chmod(0o644)


def _try_it(engine: Engine, holder: Holder, hook: Hook) -> None:
    """Start a container with the directory, whose command is not there, so that nothing runs."""
    spec = hook.hooked(holder.image_id, RunSpec((PROGRAM + "-none",), _TRIAL_S, network=holder))
    try:
        engine.run(holder.image_id, spec)
    except EngineRefusedError as error:
        raise HookRefusedError(f"the engine does not see directories of this host: {error.message}") from error
