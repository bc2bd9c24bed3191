"""What a bundle has to show when it is checked: commands, services, times and outputs, as values.

Every check runs a command in one of the bundle's images without a network. What else is asked is its kind's:
``run`` an end in time and what is printed; ``serve`` an answer of a service that keeps running; ``load_budget`` how
long a load takes, cold and warm; ``golden`` outputs that an independent reference recorded. Their
form in ``bundle.json`` is `bundler.core.check_format`'s.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Optional, Union

from bundler.core.reference import Reference

RUN, SERVE, LOAD_BUDGET, GOLDEN = "run", "serve", "load_budget", "golden"
#: What a person's checks can be; ``models`` is derived from the lock.
KINDS = (RUN, SERVE, LOAD_BUDGET, GOLDEN)
#: One argument of a command in Linux, in bytes: execve(2), MAX_ARG_STRLEN less the zero at its end.
MAX_ARGUMENT_SIZE = (128 << 10) - 1
#: Bytes of path, headers and body together.
LONGEST_QUESTION = 96 << 10
METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE")
_PEER = re.compile(r"(?:\[(?P<bracketed>[0-9A-Fa-f:.]+)\]|(?P<host>[A-Za-z0-9_.-]+))(?::(?P<port>[0-9]{1,5}))?")


@dataclass(frozen=True)
class Peer:
    """Somebody beside the service that it may call: a name or an address, and a port (None: any)."""

    host: str
    port: Optional[int]

    @classmethod
    def parse(cls, text: str) -> Peer:
        """Read ``HOST``, ``HOST:PORT`` or ``[IPV6]:PORT``; raises ValueError for anything else."""
        match = _PEER.fullmatch(text)
        port = int(match["port"]) if match and match["port"] else None
        if match is None or (port is not None and not 0 < port < 65536):
            raise ValueError(f"{text!r} is not HOST, HOST:PORT or [IPV6]:PORT")
        return cls(_normal(match["bracketed"] or match["host"]), port)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port is None else f"{host}:{self.port}"


def _normal(host: str) -> str:
    """Addresses in their one form, names in lower case."""
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return host.lower().rstrip(".")


@dataclass(frozen=True)
class Question:
    """An HTTP request to a service: ``path`` with its query, ``body`` for methods that have one."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: Optional[str]

    @property
    def fault(self) -> str:
        """Why it cannot be sent, empty where it can: it travels as an argument of a program."""
        whole = "".join([self.path, *self.headers, *self.headers.values(), self.body or ""])
        if "\0" in whole or any("\ud800" <= letter <= "\udfff" for letter in whole):
            return "it holds a character that cannot be sent (NUL, or half of one)"
        return f"it is longer than {LONGEST_QUESTION} bytes" if len(whole.encode()) > LONGEST_QUESTION else ""


@dataclass(frozen=True)
class Golden:
    """Inputs with the outputs that an independent reference recorded for them, both JSON values, in pairs.

    ``reference`` says who recorded and how. Of what: ``model`` with ``commit``, or the sha256 (64 hexadecimal digits) of
    some of its ``files`` by their paths; a commit that is not known is None.
    """

    model: str
    commit: Optional[str]
    files: Mapping[str, str]
    reference: str
    inputs: tuple[Any, ...]
    outputs: tuple[Any, ...]

    @property
    def argument(self) -> str:
        """Batches of inputs as the check's command gets them, JSON in ASCII: each input alone, then all together.

        Raises ValueError for numbers that JSON has no form for, RecursionError for what is nested too deeply.
        """
        batches = [*([each] for each in self.inputs), self.inputs]
        return json.dumps(batches, separators=(",", ":"), allow_nan=False)


@dataclass(frozen=True)
class Check:
    """A command in the image ``image``; ``run`` may be empty where the image's own command is meant.

    ``within_s`` is in seconds; ``user`` is as ``docker run --user`` takes it, None for the image's own. What calls
    out to one of ``allow`` has not failed. ``needs_gpu``: where there is none, nothing is proved.
    """

    name: str
    image: Reference
    run: tuple[str, ...]
    within_s: float
    user: Optional[str]
    env: Mapping[str, str]
    allow: tuple[Peer, ...]
    needs_gpu: bool


@dataclass(frozen=True)
class RunCheck(Check):
    """It must end with 0. ``expect`` and ``forbid`` are regular expressions that its output must and must not hold."""

    expect: tuple[str, ...]
    forbid: tuple[str, ...]


@dataclass(frozen=True)
class ServeCheck(Check):
    """It must answer at ``port`` within the time: take a connection, or give ``status`` to ``question``.

    ``expect`` and ``forbid`` are for the answer's body; afterwards it is listened to for ``watch_s`` seconds more.
    """

    port: int
    question: Optional[Question]
    status: int
    expect: tuple[str, ...]
    forbid: tuple[str, ...]
    watch_s: float


@dataclass(frozen=True)
class LoadBudgetCheck(Check):
    """It loads the model and ends, each time within ``budget_s`` seconds: from a cold start and from a warm one."""

    budget_s: float


@dataclass(frozen=True)
class GoldenCheck(Check):
    """It gets batches of inputs and prints their outputs, which must be those of ``golden`` within ``tolerance``."""

    golden: Golden
    tolerance: float


AnyCheck = Union[RunCheck, ServeCheck, LoadBudgetCheck, GoldenCheck]
_KIND_OF: dict[type[Check], str] = {
    RunCheck: RUN,
    ServeCheck: SERVE,
    LoadBudgetCheck: LOAD_BUDGET,
    GoldenCheck: GOLDEN,
}


def kind_of(check: AnyCheck) -> str:
    """One of ``KINDS``."""
    return _KIND_OF[type(check)]
