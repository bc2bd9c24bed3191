"""Small weights that are what they are called: safetensors whose offsets fill the file, of any size to the byte.

The format (github.com/huggingface/safetensors, "Format"): eight bytes with the header's length, little-endian; the
header, JSON that may end in spaces; then the tensors' bytes, whose offsets count from the end of the header.
"""

from __future__ import annotations

import json
import random
from pathlib import Path

#: The least size of a file, in bytes: its length and its header.
HEAD_SIZE = 136
_PIECE = 1 << 20


def safetensors_file(path: Path, size: int, seed: int = 1, *, sparse: bool = False) -> Path:
    """Write ``size`` bytes: one tensor of random bytes that ``seed`` decides, or of a hole where ``sparse``.

    Another seed makes another file in either case; the header holds it.
    """
    source = random.Random(seed)
    with path.open("wb") as stream:
        stream.write(safetensors_head(size, seed))
        if sparse:
            stream.truncate(size)
        else:
            for start in range(HEAD_SIZE, size, _PIECE):
                stream.write(source.randbytes(min(_PIECE, size - start)))
    return path


def safetensors_head(size: int, seed: int = 1) -> bytes:
    """The first `HEAD_SIZE` bytes of such a file."""
    tensor = {"dtype": "U8", "shape": [size - HEAD_SIZE], "data_offsets": [0, size - HEAD_SIZE]}
    header = json.dumps({"__metadata__": {"seed": str(seed)}, "w": tensor}, separators=(",", ":")).encode()
    if size < HEAD_SIZE or len(header) > HEAD_SIZE - 8:
        raise ValueError(f"no safetensors file of {size} bytes with seed {seed}")
    return (HEAD_SIZE - 8).to_bytes(8, "little") + header.ljust(HEAD_SIZE - 8)
