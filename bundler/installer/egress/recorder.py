"""Looking at the processes of a check while it runs: who lives when, and who holds which file of a model.

    recorder = Recorder(processes, ("/app/models/tiny",))
    with recorder.looking():
        result = engine.run(…)
    recorder.timeline(result.began, result.seconds)

Only processes of the check's own network name space are looked at, from outside: nothing runs in the container for it.
A look follows the last one after 50 ms, or after nine times as long as that one computed, so all of them cost a tenth of
one core at most, however many processes a container has.

Source: proc(5): ``/proc/<pid>/fd``, ``/proc/<pid>/maps``, ``/proc/<pid>/stat`` (field 22, the time of the start).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from bundler.core.timeline import MAPPED, MOST_LOADS, MOST_PROCESSES, OPENED, FileLoad, ProcessSpan, Timeline
from bundler.installer.egress.processes import Identity, Processes, link_target

_PAUSE_S = 0.05
_IDLE_PER_LOOK = 9
#: Of one process, in one look.
_DESCRIPTORS, _MAPS_SIZE = 4096, 8 << 20


@dataclass
class _Span:
    """What is known so far of a process or of a file; times by ``time.monotonic``."""

    told: str
    pid: int
    first: float
    last: float


class Recorder:
    """Notes what the processes of one run do; ``model_paths`` are where models stand in the container."""

    def __init__(self, processes: Processes, model_paths: Sequence[str]) -> None:
        self._members = processes
        self._model_paths = tuple(model_paths)
        self._ended = threading.Event()
        self._processes: dict[tuple[str, str], _Span] = {}
        self._loads: dict[str, _Span] = {}
        self._unkept: set[object] = set()
        self._longest_pause = _PAUSE_S
        self._thread = threading.Thread(target=self._look_on, name="egress-recorder", daemon=True)

    @contextmanager
    def looking(self) -> Iterator[None]:
        """Look while the block runs."""
        self._thread.start()
        try:
            yield
        finally:
            self._end()

    def _end(self) -> None:
        self._ended.set()
        self._thread.join()

    def timeline(self, began: float, seconds: float) -> Timeline:
        """What was seen of a command that began then (``time.monotonic``) and took so long; nobody looks any more."""
        self._end()

        def span(item: _Span) -> tuple[float, float]:
            first = min(max(item.first - began, 0.0), seconds)
            return first, min(max(item.last - began, first), seconds)

        processes = [ProcessSpan(item.pid, item.told, *span(item)) for item in self._processes.values()]
        loads = [FileLoad(path, item.told, item.pid, *span(item)) for path, item in self._loads.items()]
        return Timeline(seconds, self._longest_pause, tuple(processes), tuple(loads), len(self._unkept))

    def _look_on(self) -> None:
        pause, former = 0.0, None
        while not self._ended.wait(pause):
            began, computed = time.monotonic(), time.thread_time()
            self._look()
            pause = max(_PAUSE_S, _IDLE_PER_LOOK * (time.thread_time() - computed))
            if former is not None and self._processes:
                self._longest_pause = max(self._longest_pause, began - former)
            former = began

    def _look(self) -> None:
        for folder in self._members.members():
            with suppress(OSError):  # processes end while they are looked at
                identity = self._members.identity(folder)
                if identity is not None:
                    self._note(folder, identity, time.monotonic())

    def _note(self, folder: Path, identity: Identity, now: float) -> None:
        key = (folder.name, identity.started)
        known = self._processes.get(key)
        if known is not None:
            known.told, known.last = identity.command or known.told, now
        elif len(self._processes) < MOST_PROCESSES:
            self._processes[key] = _Span(identity.command, identity.pid, now, now)
        else:
            self._count_unkept(key)
        for hold, paths in ((OPENED, _open_files(folder)), (MAPPED, _mapped_files(folder, self._model_paths))):
            for path in paths:
                if self._is_of_a_model(path):
                    self._note_load(path, hold, identity.pid, now)

    def _note_load(self, path: str, hold: str, pid: int, now: float) -> None:
        known = self._loads.get(path)
        if known is not None:
            known.last = now
        elif len(self._loads) < MOST_LOADS:
            self._loads[path] = _Span(hold, pid, now, now)
        else:
            self._count_unkept(path)

    def _count_unkept(self, key: object) -> None:
        if len(self._unkept) < 100 * MOST_LOADS:
            self._unkept.add(key)

    def _is_of_a_model(self, path: str) -> bool:
        return any(path.startswith(f"{model}/") for model in self._model_paths) and path.isprintable()


def _open_files(folder: Path) -> Iterable[str]:
    """Where the process's descriptors lead, by the paths of its container."""
    with suppress(OSError):
        for entry in islice((folder / "fd").iterdir(), _DESCRIPTORS):
            yield link_target(entry)


def _mapped_files(folder: Path, wanted: Sequence[str]) -> set[str]:
    """The files that the process has mapped; read only as far as one of ``wanted`` is among them."""
    with suppress(OSError), (folder / "maps").open(errors="replace") as stream:
        text = stream.read(_MAPS_SIZE)
        if any(path in text for path in wanted):
            lines = (line.split(maxsplit=5) for line in text.splitlines() if "/" in line)
            return {fields[5] for fields in lines if len(fields) > 5}
    return set()
