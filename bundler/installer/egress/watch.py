"""Running checks so that every attempt to call out is seen, or saying plainly that nobody could listen.

    with watching(engine, progress) as watch:      # the name space, the wire, and the control, once
        result, no_egress = watch.run(image_id, spec)
        with watch.started(image_id, spec) as service: ...

What is caught is worth something only where catching works. So each session first lets a container of its own send a
packet and ask a question, and ends with CheckError where it does not catch both.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Optional, Protocol

from bundler.core.digest import Digest
from bundler.core.docker_api import EngineRefusedError
from bundler.core.egress import TRIPWIRE, WEAKER, NoEgress
from bundler.core.errors import CheckError
from bundler.core.progress import Progress
from bundler.core.provenance import Control
from bundler.installer.egress.control import require_control
from bundler.installer.egress.holder_image import can_hold
from bundler.installer.egress.listener import Listener
from bundler.installer.egress.processes import Processes
from bundler.installer.egress.python_hook.joining import with_places
from bundler.installer.egress.python_hook.reports import Heard
from bundler.installer.egress.python_hook.session import Hook, HookRefusedError, python_hook
from bundler.installer.egress.recorder import Recorder
from bundler.installer.egress.service import Service
from bundler.installer.egress.wire import HOST_NAME, lay_wire
from bundler.installer.engine import Engine, EngineFacts, Holder, RunResult, RunSpec

#: For a process to become the holder's program.
_BECOMES_WITHIN_S = 10.0


class Watch(Protocol):
    """A way to run commands of checks that tells what they tried to reach."""

    def run(self, image_id: Digest, spec: RunSpec) -> tuple[RunResult, NoEgress]:
        """Run the command of ``spec``; raises EngineError where it cannot be run, CheckError where nobody listened."""

    def started(self, image_id: Digest, spec: RunSpec) -> AbstractContextManager[Service]:
        """The same command while it runs, so that it can be asked; removed when the block ends."""


@dataclass(frozen=True)
class _Wired:
    """The holder of the name space, who listens at its wire, and who is in it."""

    holder: Holder
    listener: Listener
    processes: Processes


class _Tripwire:
    """Commands join the holder's name space, where the wire is."""

    def __init__(
        self, engine: Engine, wired: _Wired, control: Control, hook: Optional[Hook], model_paths: Sequence[str]
    ) -> None:
        self._engine = engine
        self._wired = wired
        self._control = control
        self._hook = hook
        self._model_paths = tuple(model_paths)

    def run(self, image_id: Digest, spec: RunSpec) -> tuple[RunResult, NoEgress]:
        recorder = self._recorder()
        with recorder.looking():
            result = self._engine.run(image_id, self._joined(image_id, spec))
        return result, self._collected(spec, recorder, result.began, result.seconds)

    @contextmanager
    def started(self, image_id: Digest, spec: RunSpec) -> Iterator[Service]:
        recorder, holder = self._recorder(), self._wired.holder
        with recorder.looking(), self._engine.started(image_id, self._joined(image_id, spec)) as running:
            collect = partial(self._collected, spec, recorder, running.began)
            yield Service(self._engine, running, holder, holder.image_id, collect)

    def _recorder(self) -> Recorder:
        return Recorder(self._wired.processes, self._model_paths)

    def _joined(self, image_id: Digest, spec: RunSpec) -> RunSpec:
        hooked = self._hook.hooked(image_id, spec) if self._hook else spec
        return replace(hooked, network=self._wired.holder)

    def _collected(self, spec: RunSpec, recorder: Recorder, began: float, seconds: Optional[float] = None) -> NoEgress:
        took_s = time.monotonic() - began if seconds is None else seconds
        heard = self._hook.collect(began) if self._hook else Heard()
        try:
            return NoEgress(
                TRIPWIRE,
                attempts=with_places(self._wired.listener.collect(began), heard.places),
                where_in_code=self._hook is not None,
                untold_calls=heard.untold,
                control=self._control,
                timelines=(recorder.timeline(began, took_s),),
            )
        except OSError as error:
            raise CheckError(
                f"the proof that nothing calls out was not done: its wire could not be read: {error}",
                where=" ".join(spec.command[:1]) or "the image's own command",
                remedy="run the same command again; look whether something else changes this host's networks now",
            ) from error


class _Unwatched:
    """Commands have no network, and what they try is not seen."""

    def __init__(self, engine: Engine, why: str) -> None:
        self._engine = engine
        self._why = why

    def run(self, image_id: Digest, spec: RunSpec) -> tuple[RunResult, NoEgress]:
        return self._engine.run(image_id, spec), self._unknown()

    @contextmanager
    def started(self, image_id: Digest, spec: RunSpec) -> Iterator[Service]:
        with self._engine.helpers() as helpers, self._engine.started(image_id, spec) as running:
            yield Service(self._engine, running, running, helpers, self._unknown)

    def _unknown(self) -> NoEgress:
        return NoEgress(WEAKER, self._why)


class _NotHere(Exception):  # noqa: N818 - nothing is wrong, only less can be proved
    """Why nobody can listen here."""


@contextmanager
def watching(
    engine: Engine, progress: Progress, model_paths: Sequence[str] = (), *, where_in_code: bool = False
) -> Iterator[Watch]:
    """A session of proof. Raises CheckError where the control is not caught, EngineError as the engine does.

    ``model_paths`` are where models stand in the images: loads of their files are noted. ``where_in_code`` hooks Python
    processes, so that attempts have places; where that cannot be, it is noted.
    """
    with ExitStack() as stack:
        try:
            wired = _listening(engine, stack)
        except _NotHere as error:
            progress.note(f"weaker proof that nothing calls out: {error}")
            if where_in_code:
                progress.note("where in the code is not looked for: nobody listens to attempts that it could explain")
            watch: Watch = _Unwatched(engine, str(error))
        else:
            control = require_control(engine, wired.holder, wired.listener)
            hook = _hook(engine, wired.holder, progress, stack) if where_in_code else None
            watch = _Tripwire(engine, wired, control, hook, model_paths)
        yield watch


def _hook(engine: Engine, holder: Holder, progress: Progress, stack: ExitStack) -> Optional[Hook]:
    """The hook, until ``stack`` is closed; None, and a note, where it cannot be used."""
    try:
        return stack.enter_context(python_hook(engine, holder))
    except HookRefusedError as error:
        progress.note(f"where in the code is not looked for: {error}")
        return None


def _listening(engine: Engine, stack: ExitStack) -> _Wired:
    """The holder and who listens at its wire, until ``stack`` is closed; raises _NotHere."""
    if why := _hindrance(engine.facts()):
        raise _NotHere(why)
    try:
        holder = stack.enter_context(engine.holder())
    except EngineRefusedError as error:
        raise _NotHere(f"the engine does not run the container that holds the network: {error.message}") from error
    if not is_here(holder):
        raise _NotHere(
            "the engine's processes are not seen from here: it is on another host, or in a name space of its own"
        )
    try:
        processes = Processes(holder.pid)
        reader = lay_wire(Path("/proc", str(holder.pid), "ns", "net"))
    except OSError as error:
        raise _NotHere(f"the kernel does not let a wire be laid: {error}") from error
    listener = Listener(reader, processes, frozenset({HOST_NAME}))
    stack.callback(listener.close)
    return _Wired(holder, listener, processes)


def _hindrance(facts: EngineFacts) -> str:
    """What is known to be in the way before anything is tried; empty where nothing is."""
    if os.geteuid() != 0:
        return "root's rights are needed to listen, and this is another user"
    return "" if can_hold(facts.platform) else f"there is no holder for {facts.platform}"


def is_here(holder: Holder) -> bool:
    """Whether the process that the engine counts as ``pid`` is that process here.

    An engine says that a container runs when its runtime is about to become the program; until then the process has
    another command line, and on a busy host that takes its time.
    """
    deadline = time.monotonic() + _BECOMES_WITHIN_S
    while True:
        try:
            command = Path("/proc", str(holder.pid), "cmdline").read_bytes()
        except OSError:
            return False
        if command.rstrip(b"\0").rpartition(b"\0")[2] == holder.token.encode():
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
