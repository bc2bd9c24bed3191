"""What goes wrong between a client and the Hub, as data: which requests, how, how often.

Fault("/lfs/*model.safetensors", Kind.CUT, after=1000, times=2)   # twice the body ends after 1000 bytes
Fault("*/resolve/*", Kind.STATUS, status=429, retry_after_s=1)    # once "slow down"

A fault that is planned has not struck yet: ``FaultPlan.struck`` counts how often one really did its harm.
"""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field
from enum import Enum
from fnmatch import fnmatchcase
from typing import Optional, Union


class Kind(Enum):
    """The ways to fail. Those marked *body* strike where a file's bytes are sent, never on a redirect or the API."""

    STATUS = "status"  # answers with Fault.status, and Retry-After where retry_after_s is set
    RESET = "reset"  # the connection is reset: before any answer, or (body) after `after` bytes
    STALL = "stall"  # nothing comes for stall_s, or until the faults are over: before any answer, or (body) after `after` bytes
    HTML = "html"  # a captive portal: 200 and a page, whatever was asked
    EXPIRED = "expired"  # the CDN finds the signature of the address expired; real expiry is counted as well
    NEW_ETAG = "new-etag"  # the entity tag differs from the last one, as if the file had been replaced
    REDIRECT_LOOP = "redirect-loop"  # 302 to the same address
    NO_ANSWER = "no-answer"  # 302 to an address where nothing answers, not even to a SYN
    NO_NAME = "no-name"  # 302 to a host whose name does not resolve
    CUT = "cut"  # body: ends after `after` bytes though more were promised
    WRONG_BYTES = "wrong-bytes"  # body: the byte at offset `after` of the file is another, the size is right
    WRONG_LENGTH = "wrong-length"  # body: complete by its own headers, and `by` bytes longer (shorter where negative)
    CHANGED = "changed"  # body: another file of the same size, with an entity tag of its own
    NO_RANGES = "no-ranges"  # body: answers a range with 200 and the whole file
    WRONG_RANGE = "wrong-range"  # body: answers a range with the one that begins a byte later, and says so
    HTML_SIZED = "html-sized"  # body: 200 and a page that is as long as the file
    GZIP = "gzip"  # body: compressed and declared so, though nobody asked for it; ranges are ignored then
    SLOW = "slow"  # body: from the byte `after` of the answer on, bytes_per_s

    # Never planned: a server that was made so refuses by its own rules, and counts it.
    GATED = "gated"  # no token, or one without access, for a gated repo
    WRONG_TOKEN = "wrong-token"  # a token that nobody has
    UNKNOWN_AUTHORITY = "unknown-authority"  # the client did not take the certificate
    NO_PASSWORD = "no-password"  # the server stands behind basic auth
    MOVED = "moved"  # a branch was moved by a push


_BODY = {
    Kind.CUT,
    Kind.WRONG_BYTES,
    Kind.WRONG_LENGTH,
    Kind.CHANGED,
    Kind.NO_RANGES,
    Kind.WRONG_RANGE,
    Kind.HTML_SIZED,
    Kind.GZIP,
    Kind.SLOW,
}
_EITHER = {Kind.RESET, Kind.STALL}
#: Redirects that lead nowhere.
DETOURS = frozenset({Kind.REDIRECT_LOOP, Kind.NO_ANSWER, Kind.NO_NAME})
#: What ends an answer in its body.
BREAKS = frozenset({Kind.CUT, Kind.RESET, Kind.STALL})


@dataclass(frozen=True)
class Span:
    """The bytes of a file that an answer holds: from ``start`` up to ``end`` (exclusive)."""

    start: int
    end: int
    partial: bool

    @property
    def size(self) -> int:
        """Bytes."""
        return self.end - self.start


@dataclass(frozen=True)
class Fault:
    """One fault. ``path`` is a shell pattern over the decoded request path, without its query.

    LFS bytes come from the second port below ``/lfs/``, all else from the first. The first ``skip`` matching
    requests pass, the next ``times`` fail (``None``: all). ``method`` limits it to ``GET`` or ``HEAD``. A body fault
    matches only answers that it can strike in: a cut those that are longer than ``after``, wrong bytes those that
    hold the byte. ``from_byte`` limits it to those that begin there or later in the file.
    """

    path: str
    kind: Kind
    times: Optional[int] = 1
    skip: int = 0
    method: Optional[str] = None
    status: int = 503
    retry_after_s: Optional[int] = None
    retry_as_date: bool = False
    after: int = 0
    from_byte: int = 0
    by: int = -1
    stall_s: float = 30.0
    bytes_per_s: int = 1024 * 1024

    @property
    def on_body(self) -> bool:
        """Whether it strikes inside a file's bytes (else before any answer)."""
        return self.kind in _BODY or (self.kind in _EITHER and self.after > 0)

    def fits(self, span: Span) -> bool:
        """Whether an answer with these bytes of a file can show it."""
        if span.start < self.from_byte:
            return False
        if self.kind is Kind.WRONG_BYTES:
            return span.start <= self.after < span.end
        if self.kind in BREAKS or self.kind is Kind.SLOW:
            return span.size > self.after
        if self.kind is Kind.WRONG_RANGE:
            return span.partial and span.size > 1
        return span.partial if self.kind is Kind.NO_RANGES else True


@dataclass
class FaultPlan:
    """The faults of a server, how often each has been met and how often it struck; safe for many threads."""

    faults: list[Fault] = field(default_factory=list)
    _met: dict[int, int] = field(default_factory=dict)
    _struck: Counter[Union[Fault, Kind]] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _over: threading.Event = field(default_factory=threading.Event)

    def add(self, *faults: Fault) -> None:
        """Plan further faults; they are looked at in the order in which they were added."""
        with self._lock:
            self.faults.extend(faults)

    def clear(self) -> None:
        """From now on all goes well, and nothing was counted."""
        with self._lock:
            self._end()
            self._struck.clear()

    def end(self) -> None:
        """From now on all goes well; what was counted stays."""
        with self._lock:
            self._end()

    def _end(self) -> None:
        self.faults.clear()
        self._met.clear()
        self._over.set()
        self._over = threading.Event()

    def stall(self, fault: Fault) -> None:
        """Wait for as long as the fault says, or until the faults are over."""
        with self._lock:
            over = self._over if fault in self.faults else None
        if over is not None:
            over.wait(fault.stall_s)

    def missed(self, fault: Fault) -> None:
        """It was due, and whoever asked went away before it could strike: it is due again."""
        with self._lock:
            if fault in self.faults:
                number = self.faults.index(fault)
                self._met[number] = max(0, self._met.get(number, 0) - 1)

    def take(self, method: str, path: str, *, span: Span | None = None, cdn: bool) -> Fault | None:
        """The first fault that is due for this request: before its answer, or in the bytes of ``span``."""
        with self._lock:
            for number, fault in enumerate(self.faults):
                if fault.on_body != (span is not None) or (fault.kind is Kind.EXPIRED and not cdn):
                    continue
                if fault.method not in (None, method) or not fnmatchcase(path, fault.path):
                    continue
                if span is not None and not fault.fits(span):
                    continue
                met = self._met.get(number, 0) + 1
                if fault.times is not None and met > fault.skip + fault.times:
                    continue
                self._met[number] = met
                if met > fault.skip:
                    return fault
        return None

    def strikes(self, fault: Fault | Kind) -> None:
        """Count a fault, planned or by the server's own rules, that does its harm now."""
        with self._lock:
            self._struck[fault] += 1
            if isinstance(fault, Fault):
                self._struck[fault.kind] += 1

    def struck(self, fault: Fault | Kind) -> int:
        """How often this fault, or any of this kind, has really done its harm."""
        with self._lock:
            return self._struck[fault]
