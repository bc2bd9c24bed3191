"""What the first bytes of a model's files tell: pointers, web pages, pickles, and weights that were cut.

Each judgement reads the start of a file, its end, or the marks between its parts; never the weights themselves.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import BinaryIO

from bundler.builder.hub.soundness.safetensors_header import safetensors_fault
from bundler.builder.hub.soundness.weight_files import is_weights, suffix

HEAD_BYTES = 1024
#: Git LFS, specification, "The Pointer": a text of less than 1024 bytes; the second is its first name.
_POINTERS = (b"version https://git-lfs.github.com/spec/", b"version https://hawser.github.com/spec/")
_PAGES = (b"<!doctype html", b"<html")
#: Files that are no web page, beside weights; a model card or a licence may be one.
_NO_PAGES = frozenset({".json", ".jsonl", ".model", ".spm", ".py", ".yaml", ".yml", ".tiktoken"})
_NO_PAGE_NAMES = frozenset({"vocab.txt", "merges.txt"})
_ZIP, _PICKLE = b"PK\x03\x04", b"\x80"
_PICKLE_PROTOCOLS = range(2, 6)
#: Of an ONNX file: it has some tens, or as many as it has functions; a message has no more than 2 GiB.
_MOST_FIELDS = 100_000
_LONGEST_FIELD = 2**31


def head_of(path: Path) -> bytes:
    """The first bytes of a file; raises OSError."""
    with path.open("rb") as stream:
        return stream.read(HEAD_BYTES)


def is_pointer(head: bytes, size: int) -> bool:
    """Whether a file of ``size`` bytes that begins like this is a Git LFS pointer, not what it points to."""
    return size < HEAD_BYTES and head.startswith(_POINTERS)


def is_page(path: str, head: bytes) -> bool:
    """Whether a web page stands where weights or configuration should."""
    name = path.rpartition("/")[2]
    if not (is_weights(path) or suffix(path) in _NO_PAGES or name in _NO_PAGE_NAMES):
        return False
    return head.removeprefix(b"\xef\xbb\xbf").lstrip().lower().startswith(_PAGES)


def is_pickled(head: bytes) -> bool:
    """Whether weights that begin like this are a pickle, or PyTorch's archive of one."""
    return head.startswith(_ZIP) or (head.startswith(_PICKLE) and len(head) > 1 and head[1] in _PICKLE_PROTOCOLS)


def weights_fault(path: str, place: Path, head: bytes, size: int) -> str | None:
    """What is wrong with weights called ``path`` that stand at ``place``, or None; raises OSError."""
    kind = suffix(path)
    if kind == ".safetensors":
        return safetensors_fault(place, size)
    if kind == ".gguf" and not head.startswith(b"GGUF"):
        return "is not GGUF: it does not begin with its mark"
    if kind == ".onnx":
        return _onnx_fault(place, size)
    if head.startswith(_ZIP) and not zipfile.is_zipfile(place):
        return "is cut: it is an archive without its end"
    return None


def _onnx_fault(place: Path, size: int) -> str | None:
    """ONNX is one message of protocol buffers (``ModelProto``): its fields must end where the file does."""
    if size == 0:
        return "is empty"
    with place.open("rb") as stream:
        for _ in range(_MOST_FIELDS):
            if stream.tell() == size:
                return None
            try:
                _skip_field(stream)
            except EOFError:
                return "is cut inside a field"
            except ValueError:
                return "is not ONNX: it is no message of protocol buffers"
            if stream.tell() > size:
                return f"is cut: it needs at least {stream.tell():,} bytes, {size:,} are there"
    return None


def _skip_field(stream: BinaryIO) -> None:
    """Go behind the next field; raises EOFError or ValueError where there is none."""
    tag = _varint(stream)
    wire = tag & 7
    if tag >> 3 == 0 or wire not in (0, 1, 2, 5):  # ONNX has no groups
        raise ValueError(tag)
    length = {1: 8, 5: 4}.get(wire)
    value = _varint(stream) if length is None else length
    if wire == 0:
        return
    if value > _LONGEST_FIELD:
        raise ValueError(value)
    stream.seek(value, 1)


def _varint(stream: BinaryIO) -> int:
    value = 0
    for shift in range(0, 70, 7):
        byte = stream.read(1)
        if not byte:
            raise EOFError
        value |= (byte[0] & 0x7F) << shift
        if not byte[0] & 0x80:
            return value
    raise ValueError(value)
