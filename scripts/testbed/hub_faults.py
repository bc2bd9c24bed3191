"""What goes wrong between a client and the Hub, as data: which requests, how, how often.

Fault("/lfs/*model.safetensors", Kind.CUT, after=1000, times=2)   # twice the body ends after 1000 bytes
Fault("*/resolve/*", Kind.STATUS, status=429, retry_after_s=1)    # once "slow down"
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from enum import Enum
from fnmatch import fnmatchcase
from typing import Optional


class Kind(Enum):
    """The ways to fail. Those marked *body* strike where a file's bytes are sent, never on a redirect or the API."""

    STATUS = "status"  # answers with Fault.status; 429 and 503 carry Retry-After where retry_after_s is set
    RESET = "reset"  # the connection is reset: before any answer, or (body) after `after` bytes
    STALL = "stall"  # nothing comes for stall_s: before any answer, or (body) after `after` bytes
    HTML = "html"  # a captive portal: 200 and a page, whatever was asked
    EXPIRED = "expired"  # the CDN finds the signature of the address expired
    NEW_ETAG = "new-etag"  # the entity tag differs from the last one, as if the file had been replaced
    CUT = "cut"  # body: ends after `after` bytes though more were promised
    WRONG_BYTES = "wrong-bytes"  # body: the byte at offset `after` of the file is another, the size is right
    WRONG_LENGTH = "wrong-length"  # body: complete by its own headers, and one byte short
    NO_RANGES = "no-ranges"  # body: answers a range with 200 and the whole file
    SLOW = "slow"  # body: bytes_per_s


_BODY = {Kind.CUT, Kind.WRONG_BYTES, Kind.WRONG_LENGTH, Kind.NO_RANGES, Kind.SLOW}
_EITHER = {Kind.RESET, Kind.STALL}


@dataclass(frozen=True)
class Fault:
    """One fault. ``path`` is a shell pattern over the decoded request path, without its query.

    LFS bytes come from the second port below ``/lfs/``, all else from the first. The first ``skip`` matching
    requests pass, the next ``times`` fail (``None``: all). ``method`` limits it to ``GET`` or ``HEAD``.
    """

    path: str
    kind: Kind
    times: Optional[int] = 1
    skip: int = 0
    method: Optional[str] = None
    status: int = 503
    retry_after_s: Optional[int] = None
    after: int = 0
    stall_s: float = 30.0
    bytes_per_s: int = 1024 * 1024

    @property
    def on_body(self) -> bool:
        """Whether it strikes inside a file's bytes (else before any answer)."""
        return self.kind in _BODY or (self.kind in _EITHER and self.after > 0)


@dataclass
class FaultPlan:
    """The faults of a server and how often each has been met; safe for many threads."""

    faults: list[Fault] = field(default_factory=list)
    _met: dict[int, int] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, *faults: Fault) -> None:
        """Plan further faults; they are looked at in the order in which they were added."""
        with self._lock:
            self.faults.extend(faults)

    def clear(self) -> None:
        """From now on all goes well."""
        with self._lock:
            self.faults.clear()
            self._met.clear()

    def take(self, method: str, path: str, *, body: bool, cdn: bool) -> Fault | None:
        """The first fault that is due for this request at this stage, counted as met."""
        with self._lock:
            for number, fault in enumerate(self.faults):
                if fault.on_body != body or (fault.kind is Kind.EXPIRED and not cdn):
                    continue
                if fault.method not in (None, method) or not fnmatchcase(path, fault.path):
                    continue
                met = self._met[number] = self._met.get(number, 0) + 1
                if met > fault.skip and (fault.times is None or met <= fault.skip + fault.times):
                    return fault
        return None
