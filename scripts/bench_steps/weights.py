"""A model repository with weights as trained ones are to a compressor: bfloat16 of a normal distribution.

In little-endian bfloat16 every second byte is mantissa and as good as random, the other one sign and most of the
exponent, of which few values occur. zstd makes about 0.78 of that, as of real weights.
"""

from __future__ import annotations

import json
import math
import random
from pathlib import Path

STANDARD_DEVIATION = 0.02  # of a linear layer's weights as they are usually initialised and stay
_PIECE = 1 << 20
_BIAS = 127


def write_model(directory: Path, size: int, seed: int = 1) -> None:
    """A repository whose ``model.safetensors`` holds ``size`` bytes of weights, the same for the same seed."""
    directory.mkdir(parents=True)
    (directory / "config.json").write_text('{"architectures": ["Generated"], "torch_dtype": "bfloat16"}\n')
    (directory / "README.md").write_text("---\nlicense: apache-2.0\n---\n")
    (directory / ".gitattributes").write_text("*.safetensors filter=lfs diff=lfs merge=lfs -text\n")
    source = random.Random(seed)
    exponents = exponent_table()
    with (directory / "model.safetensors").open("wb") as file:
        file.write(_header(size))
        for begin in range(0, size, _PIECE):
            file.write(_weights(source, exponents, min(_PIECE, size - begin)))


def _header(size: int) -> bytes:
    """The head of a safetensors file with one tensor."""
    tensor = {"dtype": "BF16", "shape": [size // 2], "data_offsets": [0, size]}
    text = json.dumps({"weight": tensor}).encode()
    return len(text).to_bytes(8, "little") + text


def _weights(source: random.Random, exponents: bytes, size: int) -> bytes:
    piece = bytearray(size)
    piece[0::2] = source.randbytes(len(piece[0::2]))
    piece[1::2] = source.randbytes(len(piece[1::2])).translate(exponents)
    return bytes(piece)


def exponent_table() -> bytes:
    """A table of 256 upper bytes, each as often as it occurs: a uniform byte becomes one of the distribution."""
    shares = {upper: _share(upper) for upper in range(128)}
    table: list[int] = []
    for upper, share in sorted(shares.items(), key=lambda item: -item[1]):
        table += [upper, upper | 0x80] * round(share * 128)  # both signs
    commonest = max(shares, key=lambda upper: shares[upper])
    return bytes((table + [commonest] * 256)[:256])


def _share(upper: int) -> float:
    """The share of weights whose exponent is ``2 * upper`` or one more."""
    low, high = (math.ldexp(1.0, 2 * number - _BIAS) for number in (upper, upper + 1))
    scale = STANDARD_DEVIATION * math.sqrt(2)
    return math.erf(high / scale) - math.erf(low / scale)
