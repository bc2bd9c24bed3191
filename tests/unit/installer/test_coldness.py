"""Files of an image that nobody vouches for are opened below its root, or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from bundler.installer.checks.coldness import opened_below
from bundler.installer.checks.page_cache import cached_size


@pytest.fixture
def root(tmp_path: Path) -> Iterator[int]:
    outside, inside = tmp_path / "outside", tmp_path / "root"
    (inside / "app" / "m").mkdir(parents=True)
    outside.mkdir()
    (outside / "secret").write_text("x")
    (inside / "app" / "m" / "weights").write_bytes(b"w" * 10_000)
    (inside / "app" / "m" / "link").symlink_to(outside / "secret")
    (inside / "app" / "out").symlink_to(outside)
    (inside / "app" / "in").symlink_to("m")
    os.mkfifo(inside / "app" / "m" / "pipe")
    descriptor = os.open(inside, os.O_PATH | os.O_DIRECTORY)
    yield descriptor
    os.close(descriptor)


def test_a_regular_file_is_opened(root: int) -> None:
    with opened_below(root, "/app/m/weights") as file:
        assert os.read(file, 3) == b"www"
        assert cached_size(file) >= 10_000  # in whole pages


@pytest.mark.parametrize(
    "path", ["/app/m/link", "/app/out/secret", "/app/in/weights", "/app/m/pipe", "/app/m", "/none"]
)
def test_links_pipes_and_folders_are_not(root: int, path: str) -> None:
    with pytest.raises(OSError), opened_below(root, path):
        pass


def test_nothing_stays_open(root: int) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    for path in ("/app/m/weights", "/app/m/pipe"):
        try:
            with opened_below(root, path):
                pass
        except OSError:
            pass
    assert len(list(Path("/proc/self/fd").iterdir())) == before
