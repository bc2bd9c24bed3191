"""A directory that cannot be listed, for tests that run as root, whom no mode keeps out."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest


def refuse_to_list(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Directories called ``name`` are refused with EACCES, as the kernel does."""
    scandir = os.scandir

    def refusing(path: str | os.PathLike[str]) -> object:
        if Path(path).name == name:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
