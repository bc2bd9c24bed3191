"""The weights that tests write, as the format's own library reads them."""

from __future__ import annotations

from pathlib import Path

import pytest
from safetensors import safe_open

from tests.support.safetensors_files import HEAD_SIZE, safetensors_file


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("size", [HEAD_SIZE, HEAD_SIZE + 1, 300_000, (3 << 20) + 5])
def test_the_library_reads_what_was_written(tmp_path: Path, size: int, sparse: bool) -> None:
    path = safetensors_file(tmp_path / "model.safetensors", size, sparse=sparse)
    assert path.stat().st_size == size
    with safe_open(path, framework="numpy") as tensors:
        assert tensors.get_tensor("w").shape == (size - HEAD_SIZE,)


@pytest.mark.parametrize("sparse", [False, True])
def test_a_seed_decides_about_the_content(tmp_path: Path, sparse: bool) -> None:
    one, same, other = (
        safetensors_file(tmp_path / str(number), 5000, seed, sparse=sparse).read_bytes()
        for number, seed in enumerate((7, 7, 8))
    )
    assert one == same != other


def test_what_has_no_room_for_a_header_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no safetensors file of 100 bytes"):
        safetensors_file(tmp_path / "small", 100)
