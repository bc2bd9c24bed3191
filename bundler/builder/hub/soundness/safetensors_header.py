"""A safetensors file, judged by its header: 8 bytes of length, JSON, then the tensors without a gap.

Format: safetensors README, "Format". Only the header is read, never the tensors; its offsets tell where they end, so
that a file which was cut anywhere is known without reading it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_LENGTH_BYTES = 8
#: The reference reader's own bound (``MAX_HEADER_SIZE``).
_MAX_HEADER_BYTES = 100_000_000
_BITS = {
    **dict.fromkeys(("F4",), 4),
    **dict.fromkeys(("F6_E2M3", "F6_E3M2"), 6),
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"), 8),
    **dict.fromkeys(("I16", "U16", "F16", "BF16"), 16),
    **dict.fromkeys(("I32", "U32", "F32"), 32),
    **dict.fromkeys(("I64", "U64", "F64", "C64"), 64),
}


class HeaderFaultError(ValueError):
    """What is wrong with a header, as the end of a sentence that begins with the file's name."""


def safetensors_fault(path: Path, size: int) -> str | None:
    """What is wrong with the safetensors file of ``size`` bytes at ``path``, or None; raises OSError."""
    try:
        header, tensors_size = _read_header(path, size)
        _require_filled(header, tensors_size)
    except HeaderFaultError as error:
        return str(error)
    return None


def _read_header(path: Path, size: int) -> tuple[Mapping[str, Any], int]:
    """The header, and how many bytes of tensors stand behind it."""
    with path.open("rb") as stream:
        start = stream.read(_LENGTH_BYTES)
        if len(start) < _LENGTH_BYTES:
            raise HeaderFaultError(f"is cut: {size:,} bytes are no safetensors header")
        length = int.from_bytes(start, "little")
        if length > _MAX_HEADER_BYTES:
            raise HeaderFaultError(f"is not safetensors: it would have a header of {length:,} bytes")
        if length > size - _LENGTH_BYTES:
            raise HeaderFaultError(f"is cut inside its header: {length:,} bytes are announced, {size - 8:,} are there")
        content = stream.read(length)
    return _parse(content), size - _LENGTH_BYTES - length


def _parse(content: bytes) -> Mapping[str, Any]:
    try:
        header = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise HeaderFaultError("is not safetensors: its header is not JSON") from error
    if not isinstance(header, dict):
        raise HeaderFaultError("is not safetensors: its header is not an object")
    return {name: entry for name, entry in header.items() if name != "__metadata__"}


def _require_filled(header: Mapping[str, Any], size: int) -> None:
    """The tensors stand one behind the other, each as long as its shape wants, and end where the file does."""
    end = 0
    for begin, stop, name in sorted(_span(name, entry) for name, entry in header.items()):
        if begin != end:
            kind = "a gap" if begin > end else "an overlap"
            raise HeaderFaultError(f"has {kind} before its tensor {name!r}, at byte {min(begin, end):,}")
        end = stop
    if end > size:
        raise HeaderFaultError(f"is cut: its tensors need {end:,} bytes, {size:,} are there")
    if end < size:
        raise HeaderFaultError(f"has {size - end:,} bytes behind its last tensor")


def _span(name: str, entry: object) -> tuple[int, int, str]:
    """Where a tensor begins and ends behind the header."""
    known = entry if isinstance(entry, dict) else {}
    offsets, shape, dtype = _counts(known.get("data_offsets")), _counts(known.get("shape")), known.get("dtype")
    if offsets is None or shape is None or len(offsets) != 2 or not isinstance(dtype, str):
        raise HeaderFaultError(f"is not safetensors: its tensor {name!r} has no dtype, shape and offsets")
    begin, end = offsets
    bits = _BITS.get(dtype)  # a dtype that is newer than this program is judged by its offsets alone
    if begin > end or (bits is not None and math.prod(shape) * bits != (end - begin) * 8):
        wanted = "" if bits is None else f", {dtype} {shape} needs {math.prod(shape) * bits // 8:,}"
        raise HeaderFaultError(f"has a tensor {name!r} of {end - begin:,} bytes{wanted}")
    return begin, end, name


def _counts(value: object) -> list[int] | None:
    """A list of whole numbers from 0, or None."""
    if isinstance(value, list) and all(type(each) is int and each >= 0 for each in value):
        return value
    return None
