"""Which calls explain which attempts: by address and port, or by the name that was asked for.

A call that no packet followed explains nothing and is left out: it was not an attempt.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import replace

from bundler.core.code_place import CodePlace
from bundler.core.egress import Attempt

#: Of one attempt so many places are told.
_PLACES = 8


def with_places(attempts: Iterable[Attempt], places: Sequence[CodePlace]) -> tuple[Attempt, ...]:
    """The attempts, each with the calls that led to it, in order; the same stack counts once."""
    return tuple(replace(attempt, places=_places_of(attempt, places)) for attempt in attempts)


def _places_of(attempt: Attempt, places: Sequence[CodePlace]) -> tuple[CodePlace, ...]:
    found: dict[object, CodePlace] = {}
    for place in places:
        if _explains(place, attempt):
            found.setdefault((place.event, place.stack), place)
    return tuple(found.values())[:_PLACES]


def _explains(place: CodePlace, attempt: Attempt) -> bool:
    if place.port is not None:  # something was sent, to a name server too
        return _address(place.host) == attempt.address and attempt.port in {None, place.port}
    if attempt.name is None:
        return False
    asked = attempt.name.lower()
    return any(asked == name or asked.startswith(name + ".") for name in _names(place.host))


def _address(host: str) -> str:
    """An address as packets have it: of IPv4 where it stands in one of IPv6, without a zone; else the text itself."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


def _names(host: str) -> tuple[str, ...]:
    """What a resolver asks for when ``host`` is looked up; behind it search domains may stand."""
    try:
        return (ipaddress.ip_address(_address(host)).reverse_pointer,)
    except ValueError:
        pass
    name = host.lower().rstrip(".")
    try:
        return (name, name.encode("idna").decode())
    except UnicodeError:  # no name of that form can be asked for
        return (name,) if name else ()
