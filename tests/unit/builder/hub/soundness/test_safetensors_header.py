"""Headers of safetensors: what the reference writes passes, and everything that would not load is named."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import SafetensorError, deserialize
from safetensors.numpy import save, save_file

from bundler.builder.hub.soundness.safetensors_header import safetensors_fault


def fault(path: Path, header: Any, tensors: bytes = b"") -> str | None:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + tensors)
    return safetensors_fault(path, path.stat().st_size)


def tensor(begin: int, end: int, shape: list[int], dtype: str = "U8") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "model.safetensors"


@pytest.mark.parametrize("kind", ["float16", "float32", "float64", "int8", "uint16", "int64", "bool"])
def test_what_the_reference_writes(place: Path, kind: str) -> None:
    save_file({"a": np.ones((3, 5), kind), "b": np.ones((), kind), "c": np.ones((0, 4), kind)}, place, {"format": "np"})
    assert safetensors_fault(place, place.stat().st_size) is None
    assert safetensors_fault(place, place.stat().st_size - 1) is not None


@pytest.mark.parametrize(
    ("header", "size"),
    [
        ({}, 0),
        ({"__metadata__": {"format": "pt"}}, 0),
        ({"b": tensor(4, 6, [2]), "a": tensor(0, 4, [2, 2])}, 6),
        ({"a": tensor(0, 3, [6], "F4")}, 3),
        ({"a": tensor(0, 5, [2], "F5_OF_TOMORROW")}, 5),
        (b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}   ', 1),
    ],
)
def test_headers_that_are_right(place: Path, header: Any, size: int) -> None:
    assert fault(place, header, bytes(size)) is None


@pytest.mark.parametrize(
    ("header", "size", "what"),
    [
        ({"a": tensor(0, 4, [4])}, 3, "is cut: its tensors need 4 bytes, 3 are there"),
        ({"a": tensor(0, 4, [4])}, 6, "has 2 bytes behind its last tensor"),
        ({"a": tensor(0, 4, [4]), "b": tensor(6, 8, [2])}, 8, "has a gap before its tensor 'b', at byte 4"),
        ({"a": tensor(0, 4, [4]), "b": tensor(2, 6, [4])}, 6, "has an overlap before its tensor 'b'"),
        ({"a": tensor(0, 4, [3])}, 4, "has a tensor 'a' of 4 bytes, U8 [3] needs 3"),
        ({"a": tensor(4, 0, [0])}, 4, "has a tensor 'a'"),
        ({"a": tensor(0, 4, [-4])}, 4, "has no dtype, shape and offsets"),
        ({"a": {"dtype": "U8", "shape": [4]}}, 4, "has no dtype, shape and offsets"),
        ({"a": {"dtype": "U8", "shape": [True], "data_offsets": [0, 1]}}, 1, "has no dtype, shape and offsets"),
        ({"a": [0, 4]}, 4, "has no dtype, shape and offsets"),
        ([], 0, "not an object"),
        (b"\xff\xfe", 0, "not JSON"),
        (b"[" * 100_000, 0, "not JSON"),
    ],
)
def test_headers_that_are_wrong(place: Path, header: Any, size: int, what: str) -> None:
    assert what in str(fault(place, header, bytes(size)))


def test_a_length_that_no_header_has(place: Path) -> None:
    place.write_bytes(b"<html><body>not found</body></html>")
    assert "would have a header of" in str(safetensors_fault(place, place.stat().st_size))


def test_the_reference_agrees_on_what_is_spoiled(place: Path) -> None:
    """But for a dtype that it does not know: here its offsets are enough, so that a newer one is not refused."""
    whole = save({"a": np.ones((4, 8), np.float32), "b": np.zeros(3, np.int64), "c": np.zeros((0, 5), np.float16)})
    chance, judged = random.Random(1), []
    for _ in range(1500):
        content = bytearray(whole)
        for _ in range(chance.randint(1, 2)):
            content[chance.randrange(len(content))] = chance.choice(b'0123456789,:[]{}" aU')
        content = content[: chance.choice([len(content)] * 3 + [chance.randrange(len(content))])]
        place.write_bytes(content)
        try:
            deserialize(bytes(content))
            refused = ""
        except SafetensorError as error:
            refused = str(error)
        judged.append(bool(refused))
        if "unknown variant" not in refused:
            assert (safetensors_fault(place, len(content)) is not None) == bool(refused), bytes(content)
    assert 100 < sum(judged) < 1400  # both happened often
