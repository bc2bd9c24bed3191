"""The table: what goes wrong, and what must happen then. Each row is data; ``tests/faults`` runs them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Union

from testbed.hub_faults import Fault, Kind

LFS = "/lfs/*/model.safetensors"
RESOLVE = "*/resolve/*/model.safetensors"
ANY = "*"
MIB = 1 << 20


@dataclass(frozen=True)
class Arrives:
    """The locked bytes come. ``paused_s`` is a pause that was asked for and must have been kept, in seconds."""

    paused_s: float = 0.0


@dataclass(frozen=True)
class Refused:
    """An error with this exit code, whose text matches; ``at_most`` limits the requests that struck: no use in more.

    Two where one is right, since a busy host may take too long for one.
    """

    sentence: str
    exit_code: int = 4
    at_most: int | None = None


Must = Union[Arrives, Refused]


@dataclass(frozen=True)
class Row:
    """One fault. ``at_least`` is how often it must have struck; the faults are all of one kind or the last one counts."""

    name: str
    faults: tuple[Fault, ...]
    must: Must
    at_least: int = 1
    #: Options of the server.
    hub: dict[str, object] = field(default_factory=dict)
    connections: int = 4
    #: Only somebody who asks for ranges can meet it.
    ranges: bool = False

    @property
    def kinds(self) -> list[Kind]:
        """Each kind once."""
        return list(dict.fromkeys(fault.kind for fault in self.faults))


def _always(kind: Kind, path: str = LFS, **more: object) -> tuple[Fault, ...]:
    return (Fault(path, kind, times=None, **more),)  # type: ignore[arg-type]  # fields of a dataclass


def _twice(kind: Kind, path: str = LFS, **more: object) -> tuple[Fault, ...]:
    return (Fault(path, kind, times=2, **more),)  # type: ignore[arg-type]  # fields of a dataclass


_TRIED = r"model tiny: model\.safetensors did not arrive in \d+ attempts"
STATUSES = (408, 425, 429, 500, 502, 503, 504)

ROWS: tuple[Row, ...] = (
    Row("connect timeout at the CDN, twice", _twice(Kind.NO_ANSWER, RESOLVE), Arrives(), 2),
    Row(
        "connect timeout at the CDN, always", _always(Kind.NO_ANSWER, RESOLVE), Refused(rf"{_TRIED} \(no connection"), 2
    ),
    Row("DNS failure of the CDN, twice", _twice(Kind.NO_NAME, RESOLVE), Arrives(), 2),
    Row("DNS failure of the CDN, always", _always(Kind.NO_NAME, RESOLVE), Refused(rf"{_TRIED} .*cdn\.invalid.*DNS"), 2),
    Row("reset before the answer, twice", _twice(Kind.RESET), Arrives(), 2),
    Row("reset before the answer, always", _always(Kind.RESET), Refused(rf"{_TRIED} .*reset"), 2),
    Row("reset at the Hub itself, twice", _twice(Kind.RESET, RESOLVE), Arrives(), 2),
    Row("reset after 1 MiB, always", _always(Kind.RESET, after=MIB), Arrives(), 6),
    Row("cut every MiB, always", _always(Kind.CUT, after=MIB), Arrives(), 6),
    Row("cut at the first byte, twice", _twice(Kind.CUT), Arrives(), 2),
    Row("cut at the first byte, always", _always(Kind.CUT), Refused(rf"{_TRIED} .*(broke|early)"), 2),
    Row("stall before the answer, twice", _twice(Kind.STALL), Arrives(), 2),
    Row("stall before the answer, always", _always(Kind.STALL), Refused(rf"{_TRIED} .*not a byte"), 2),
    Row("stall at 0 bytes/s in the middle, twice", _twice(Kind.STALL, after=MIB), Arrives(), 2),
    Row("trickle of 5 bytes/s, twice", _twice(Kind.SLOW, bytes_per_s=5, after=MIB), Arrives(), 2),
    Row("trickle of 5 bytes/s, always", _always(Kind.SLOW, bytes_per_s=5), Refused(rf"{_TRIED} .*next to nothing"), 2),
    *(Row(f"HTTP {status}, twice", _twice(Kind.STATUS, status=status), Arrives(), 2) for status in STATUSES),
    *(
        Row(f"HTTP {status}, always", _always(Kind.STATUS, status=status), Refused(rf"{_TRIED} .*HTTP {status}"), 2)
        for status in (429, 503)
    ),
    Row("HTTP 503 at the Hub itself, twice", _twice(Kind.STATUS, RESOLVE), Arrives(), 2),
    Row(
        "HTTP 429, Retry-After in seconds",
        _twice(Kind.STATUS, status=429, retry_after_s=77),
        Arrives(paused_s=77),
        2,
    ),
    Row(
        "HTTP 503, Retry-After as a date",
        _twice(Kind.STATUS, status=503, retry_after_s=77, retry_as_date=True),
        Arrives(paused_s=70),
        2,
    ),
    Row(
        "HTTP 429, Retry-After beyond the deadline",
        _always(Kind.STATUS, status=429, retry_after_s=5000),
        Refused(r"did not arrive in \d+ attempts? before its deadline \(.*HTTP 429", at_most=2),
    ),
    *(
        Row(f"HTTP {status} at the Hub itself", _always(Kind.STATUS, RESOLVE, status=status), Refused(told, at_most=2))
        for status, told in ((401, "wants to know who asks"), (403, "not allowed|forbid"), (404, "not there"))
    ),
    Row("a byte too few, twice", _twice(Kind.WRONG_LENGTH), Arrives(), 2),
    Row("a byte too few, always", _always(Kind.WRONG_LENGTH), Refused(rf"{_TRIED} .*9,437,183 bytes"), 2),
    Row("a byte too many, twice", _twice(Kind.WRONG_LENGTH, by=1), Arrives(), 2),
    Row("a byte too many, always", _always(Kind.WRONG_LENGTH, by=1), Refused(rf"{_TRIED} .*9,437,185 bytes"), 2),
    Row("a wrong byte, once", (Fault(LFS, Kind.WRONG_BYTES, after=5 * MIB),), Arrives()),
    Row("a wrong byte, always", _always(Kind.WRONG_BYTES, after=5 * MIB), Refused("came twice with another digest"), 2),
    Row("ranges ignored", _always(Kind.NO_RANGES), Arrives(), ranges=True),
    Row(
        "ranges ignored after a cut",
        (Fault(LFS, Kind.CUT, after=3 * MIB), *_always(Kind.NO_RANGES)),
        Arrives(),
        connections=1,
    ),
    Row("another range than asked for, twice", _twice(Kind.WRONG_RANGE), Arrives(), 2, ranges=True),
    Row(
        "another range than asked for, always",
        _always(Kind.WRONG_RANGE),
        Refused(rf"{_TRIED} .*was asked for"),
        2,
        ranges=True,
    ),
    Row(
        "changed between attempts, and back",
        (Fault(LFS, Kind.CUT, after=3 * MIB), Fault(LFS, Kind.CHANGED, times=2)),
        Arrives(),
        connections=1,
    ),
    Row(
        "changed between attempts, for good",
        (Fault(LFS, Kind.CUT, after=3 * MIB), *_always(Kind.CHANGED)),
        Refused("another digest"),
        2,
        connections=1,
    ),
    Row("redirect loop at the Hub", _always(Kind.REDIRECT_LOOP, RESOLVE), Refused("redirects .*circle"), 2),
    Row("redirect loop at the CDN", _always(Kind.REDIRECT_LOOP), Refused("redirects .*circle"), 2),
    Row("signed address expired, twice", _twice(Kind.EXPIRED), Arrives(), 2),
    Row("signed address expired, always", _always(Kind.EXPIRED), Refused(rf"{_TRIED} .*signed address has expired"), 2),
    Row(
        "signed address expires while the file comes",
        (Fault("never", Kind.EXPIRED),),
        Arrives(),
        hub={"link_ttl_s": 0.4, "bytes_per_s": 8 * MIB},
        connections=1,
        ranges=True,
    ),
    Row("HTML in the place of weights, twice", _twice(Kind.HTML), Arrives(), 2),
    Row("HTML in the place of weights, always", _always(Kind.HTML), Refused(rf"{_TRIED} .*web page"), 2),
    Row("HTML from the Hub itself, twice", _twice(Kind.HTML, RESOLVE), Arrives(), 2),
    Row("HTML of the right length, once", (Fault(LFS, Kind.HTML_SIZED),), Arrives()),
    Row(
        "HTML of the right length, always",
        _always(Kind.HTML_SIZED),
        Refused("came twice with another digest|web page"),
        2,
    ),
    Row("gzip that nobody asked for", _always(Kind.GZIP), Arrives()),
)
