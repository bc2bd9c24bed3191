"""What a check tried to reach: attempts to call out, and how strong the proof is that there were no others.

``tripwire``: the check ran in a network name space that leads nowhere and was listened to from before its start, and a
deliberate packet and a DNS question were caught there first. ``weaker``: it had no network, and nobody listened;
nothing got out, and whether anything tried is not known.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Optional

from bundler.core.checks import Peer
from bundler.core.code_place import CodePlace, parse_code_place
from bundler.core.json_fields import Fields
from bundler.core.provenance import Control, parse_control
from bundler.core.timeline import Timeline, parse_timeline

TRIPWIRE, WEAKER = "tripwire", "weaker"
PROOFS = (TRIPWIRE, WEAKER)
NOT_TOLD = "not told"
_SHOWN, _SHOWN_PLACES = 5, 3
#: How command lines of Python begin; those of servers that give themselves a title too.
_PYTHON = re.compile(r"(?:\S*/)?(?:python|pypy|gunicorn|uvicorn|celery)")

#: What a name that was asked for, or its parent, speaks of.
_BY_NAME = {
    "huggingface.co": "some code looks for a model on the Hub",
    "hf.co": "some code looks for a model on the Hub",
    "hf-mirror.com": "some code looks for a model on a mirror of the Hub",
    "modelscope.cn": "some code looks for a model on ModelScope",
    "ollama.ai": "some code pulls a model",
    "ollama.com": "some code pulls a model",
    "pytorch.org": "some code fetches weights from PyTorch's server",
    "openaipublic.blob.core.windows.net": "some code fetches a vocabulary or weights from OpenAI's server",
    "raw.githubusercontent.com": "some code fetches a file from GitHub",
    "github.com": "some code fetches from GitHub",
    "pypi.org": "some code installs Python packages",
    "pythonhosted.org": "some code installs Python packages",
    "debian.org": "some code installs packages of the operating system",
    "ubuntu.com": "some code installs packages of the operating system",
    "posthog.com": "some library reports how it is used",
    "segment.io": "some library reports how it is used",
    "sentry.io": "some library reports its errors",
    "pool.ntp.org": "some code asks for the time",
}
_BY_ADDRESS = {
    "169.254.169.254": "some code looks for the settings that a cloud gives its hosts",
    "224.0.0.251": "some code announces or looks for services beside it",
    "ff02::fb": "some code announces or looks for services beside it",
    "239.255.255.250": "some code looks for devices beside it",
}
_BY_PORT = {123: "some code asks for the time", 853: "some code asks a name server over TLS"}


@dataclass(frozen=True)
class Attempt:
    """What processes tried to send: where to, what for, how often, and by whom as far as it could be seen.

    ``protocol`` is ``TCP``, ``UDP``, ``DNS``, ``QUIC``, ``ICMP``, ``ICMPv6`` or the number of another one; ``name`` and
    ``question`` are those of a DNS question; ``after_s`` is the time of the first one since the start of the check.
    ``places`` are the calls in Python's code that led to it, where a hook looked and saw them.
    """

    protocol: str
    address: str
    port: Optional[int]
    name: Optional[str]
    question: Optional[str]
    after_s: float
    count: int
    processes: tuple[str, ...]
    places: tuple[CodePlace, ...] = ()

    @property
    def is_python(self) -> bool:
        """Whether a process that sent it runs Python, as far as its command line tells."""
        return any(_PYTHON.match(process) for process in self.processes)

    @property
    def meaning(self) -> str:
        """What it would have meant, in a sentence's second half; empty where nothing is known."""
        parts = (self.name or "").lower().split(".")
        names = (".".join(parts[start:]) for start in range(len(parts)))
        known = next((_BY_NAME[name] for name in names if name in _BY_NAME), "")
        return known or _BY_ADDRESS.get(self.address, "") or _BY_PORT.get(self.port or 0, "")

    def goes_to(self, peer: Peer) -> bool:
        """Whether it asks for the peer's name, or sends to its address and port."""
        if self.name is not None:
            return self.name.lower().rstrip(".") == peer.host
        return self.address == peer.host and peer.port in {None, self.port}

    @property
    def told(self) -> str:
        """The attempt for people, on one line."""
        if self.name is not None:
            what = f"{self.protocol}: asked for {self.name} ({self.question})"
        else:
            port = "" if self.port is None else f" port {self.port}"
            what = f"{self.protocol} to {self.address}{port}"
        times = "once" if self.count == 1 else f"{self.count} times"
        who = ", ".join(self.processes) or f"process {NOT_TOLD}"
        where = self._told_places()
        meaning = f": {self.meaning}" if self.meaning else ""
        return f"{what}, {times}, first after {self.after_s:.2f} s, by {who}{where}{meaning}"

    def _told_places(self) -> str:
        told = list(dict.fromkeys(place.told for place in self.places if place.told))
        more = f" and {len(told) - _SHOWN_PLACES} more places" if len(told) > _SHOWN_PLACES else ""
        return f", at {' and at '.join(told[:_SHOWN_PLACES])}{more}" if told else ""

    def to_json(self) -> dict[str, Any]:
        """The form in papers, receipts and ``--json``; ``processes`` is empty where it could not be told."""
        return {
            "protocol": self.protocol,
            "address": self.address,
            "port": self.port,
            "name": self.name,
            "question": self.question,
            "after_s": round(self.after_s, 3),
            "count": self.count,
            "processes": list(self.processes),
            "meaning": self.meaning,
            "places": [place.to_json() for place in self.places],
        }


@dataclass(frozen=True)
class NoEgress:
    """Whether a check tried to call out: the kind of ``proof``, ``why`` it is the weaker one, and the attempts.

    ``allowed`` are those that the check allows: peers that stand beside the service. ``where_in_code`` says that Python
    processes ran with the hook, and so with a ``PYTHONPATH`` of bundler's; ``untold_calls`` is how many calls it did not
    look at, at the least, because there were too many. ``control`` is what was caught on purpose first, and ``timelines``
    what was seen of each run of the check's command; releases before kept neither.
    """

    proof: str
    why: str = ""
    attempts: tuple[Attempt, ...] = ()
    allowed: tuple[Attempt, ...] = ()
    where_in_code: bool = False
    untold_calls: int = 0
    control: Optional[Control] = None
    timelines: tuple[Timeline, ...] = ()

    def allowing(self, peers: Sequence[Peer]) -> NoEgress:
        """The same, with what goes to one of ``peers`` among the allowed."""
        allowed = tuple(attempt for attempt in self.attempts if any(attempt.goes_to(peer) for peer in peers))
        rest = tuple(attempt for attempt in self.attempts if attempt not in allowed)
        return replace(self, attempts=rest, allowed=self.allowed + allowed)

    @property
    def told(self) -> str:
        """The attempts for people; empty where there were none."""
        if not self.attempts:
            return ""
        shown = [attempt.told for attempt in self.attempts[:_SHOWN]]
        more = len(self.attempts) - len(shown)
        return "tried to call out: " + "; ".join([*shown, *([f"and {more} more"] if more else [])])

    def to_json(self) -> dict[str, Any]:
        """The form in papers, receipts and ``--json``."""
        return {
            "proof": self.proof,
            "why": self.why,
            "attempts": [attempt.to_json() for attempt in self.attempts],
            **({"allowed": [attempt.to_json() for attempt in self.allowed]} if self.allowed else {}),
            **({"where_in_code": True} if self.where_in_code else {}),
            **({"untold_calls": self.untold_calls} if self.untold_calls else {}),
            **({"control": self.control.to_json()} if self.control else {}),
            **({"timelines": [timeline.to_json() for timeline in self.timelines]} if self.timelines else {}),
        }


def parse_no_egress(fields: Fields) -> NoEgress:
    """Read what a receipt keeps; raises BundleError where it is not as it was written."""
    control = fields.optional_object("control")
    return NoEgress(
        proof=fields.choice("proof", PROOFS),
        why=fields.text("why"),
        attempts=tuple(map(_parse_attempt, fields.objects("attempts"))),
        allowed=tuple(map(_parse_attempt, fields.optional_objects("allowed") or ())),
        where_in_code=bool(fields.optional_flag("where_in_code")),
        untold_calls=fields.optional_integer("untold_calls") or 0,
        control=parse_control(control) if control else None,
        timelines=tuple(map(parse_timeline, fields.optional_objects("timelines") or ())),
    )


def _parse_attempt(fields: Fields) -> Attempt:
    return Attempt(
        protocol=fields.text("protocol"),
        address=fields.text("address"),
        port=fields.optional_integer("port"),
        name=fields.optional_text("name"),
        question=fields.optional_text("question"),
        after_s=fields.duration("after_s"),
        count=fields.integer("count"),
        processes=tuple(fields.texts("processes")),
        places=tuple(map(parse_code_place, fields.optional_objects("places") or ())),
    )
