"""A log of JSON lines, each with the digest of the line before it, so that a line cannot be changed or taken out alone.

It shows changes by accident or by hand in one place. Whoever may write the file can write all of it anew: where that
matters, copy the last line's digest to another place.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bundler.core.digest import Digest
from bundler.core.oci import canonical_json

#: What the first line names as the digest of the line before it.
START = str(Digest.of(b""))


def append(path: Path, event: Mapping[str, Any]) -> None:
    """Add one line, flushed to the disk; a last line that a loss of power cut off is ended first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = path.read_bytes() if path.exists() else b""
    torn = bool(content) and not content.endswith(b"\n")
    lines = content.splitlines()
    previous = str(Digest.of(lines[-1])) if lines else START
    line = canonical_json({**event, "previous": previous})
    with path.open("ab") as stream:
        stream.write((b"\n" if torn else b"") + line + b"\n")
        stream.flush()
        os.fsync(stream.fileno())


def broken_lines(path: Path) -> list[int]:
    """The numbers, from 1, of the lines that are not JSON objects or do not name the digest of the line before."""
    if not path.exists():
        return []
    broken: list[int] = []
    previous = START
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        if _named_digest(line) != previous:
            broken.append(number)
        previous = str(Digest.of(line))
    return broken


def _named_digest(line: bytes) -> str:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return ""
    return str(value.get("previous", "")) if isinstance(value, dict) else ""
