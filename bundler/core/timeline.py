"""The start of a check's command, as it was seen from outside: which processes lived, and which model files they held.

It is seen by looking every so often, so what lived shorter than the pause between two looks may be missing, and each
time may be late by that much. Times are in seconds since the start of the command.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bundler.core.json_fields import Fields

OPENED, MAPPED = "open", "mapped"
HOLDS = (OPENED, MAPPED)
#: So much is kept of one command: more processes and files are only counted.
MOST_PROCESSES, MOST_LOADS = 100, 200


@dataclass(frozen=True)
class ProcessSpan:
    """A process: its id in the container, its command line, and when it was seen first and last.

    A process that took on another program in its life has the command line that was seen last.
    """

    pid: int
    command: str
    first_s: float
    last_s: float

    def to_json(self) -> dict[str, Any]:
        """The form in papers, receipts and ``--json``."""
        return {
            "pid": self.pid,
            "command": self.command,
            "first_s": round(self.first_s, 3),
            "last_s": round(self.last_s, 3),
        }


@dataclass(frozen=True)
class FileLoad:
    """A model's file that a process held: its path in the container, how it was held, by whom first, from when to when."""

    path: str
    hold: str
    pid: int
    first_s: float
    last_s: float

    def to_json(self) -> dict[str, Any]:
        """The form in papers, receipts and ``--json``."""
        return {
            "path": self.path,
            "hold": self.hold,
            "pid": self.pid,
            "first_s": round(self.first_s, 3),
            "last_s": round(self.last_s, 3),
        }


@dataclass(frozen=True)
class Timeline:
    """One run of a command: how long it took, the longest pause between two looks, processes and files in their order.

    ``unkept`` counts the processes and files that were one too many to keep.
    """

    seconds: float
    pause_s: float
    processes: tuple[ProcessSpan, ...] = ()
    loads: tuple[FileLoad, ...] = ()
    unkept: int = 0

    def to_json(self) -> dict[str, Any]:
        """The form in papers, receipts and ``--json``."""
        return {
            "seconds": round(self.seconds, 3),
            "pause_s": round(self.pause_s, 3),
            "processes": [process.to_json() for process in self.processes],
            "loads": [load.to_json() for load in self.loads],
            **({"unkept": self.unkept} if self.unkept else {}),
        }


def parse_timeline(fields: Fields) -> Timeline:
    """Read what papers and receipts keep; raises BundleError where it is not as it was written."""
    return Timeline(
        seconds=fields.duration("seconds"),
        pause_s=fields.duration("pause_s"),
        processes=tuple(map(_parse_process, fields.objects("processes"))),
        loads=tuple(map(_parse_load, fields.objects("loads"))),
        unkept=fields.optional_integer("unkept") or 0,
    )


def _parse_process(fields: Fields) -> ProcessSpan:
    first_s, last_s = _span(fields)
    return ProcessSpan(fields.integer("pid"), fields.text("command"), first_s, last_s)


def _parse_load(fields: Fields) -> FileLoad:
    first_s, last_s = _span(fields)
    return FileLoad(fields.text("path"), fields.choice("hold", HOLDS), fields.integer("pid"), first_s, last_s)


def _span(fields: Fields) -> tuple[float, float]:
    first_s, last_s = fields.duration("first_s"), fields.duration("last_s")
    if last_s < first_s:
        raise fields.refused("last_s", "is before first_s")
    return first_s, last_s
