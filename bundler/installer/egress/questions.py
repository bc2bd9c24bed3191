"""The question in a DNS message: which name was asked for, and which kind of answer.

Source: RFC 1035, section 4.1; kinds by their numbers at IANA ("Resource Record (RR) TYPEs").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

_HEADER_SIZE = 12
_LONGEST_NAME = 255
_KINDS = {
    **{1: "A", 2: "NS", 5: "CNAME", 6: "SOA", 12: "PTR", 15: "MX", 16: "TXT", 28: "AAAA", 33: "SRV", 64: "SVCB"},
    **{65: "HTTPS", 255: "ANY"},
}


@dataclass(frozen=True)
class Question:
    """A name without its last dot, as it was asked for, and the kind of record."""

    name: str
    kind: str


def read_question(message: bytes) -> Optional[Question]:
    """The first question of a message; None where there is none, or it cannot be read."""
    if len(message) < _HEADER_SIZE or message[2] & 0x80 or message[4:6] == b"\0\0":
        return None
    labels: list[str] = []
    place = _HEADER_SIZE
    while place < len(message) and message[place]:
        size = message[place]
        if size > 63 or place + size >= len(message) or place - _HEADER_SIZE > _LONGEST_NAME:
            return None  # a pointer, which a question has no use for, or cut off
        labels.append(_readable(message[place + 1 : place + 1 + size]))
        place += 1 + size
    if place + 3 > len(message):
        return None
    number = int.from_bytes(message[place + 1 : place + 3], "big")
    return Question(".".join(labels) or ".", _KINDS.get(number, f"type {number}"))


def _readable(label: bytes) -> str:
    """The label with what would disturb a terminal or a line made visible."""
    return "".join(chr(byte) if 0x21 <= byte < 0x7F else f"\\{byte:03d}" for byte in label)
