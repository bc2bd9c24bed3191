"""The loader that travels: one file, ``bundler.pyz``, that an old Python runs with nothing installed.

``scripts/build-loader`` makes it; a released distribution brings it along, so that building a kit resolves no packages.
"""

from __future__ import annotations

from pathlib import Path

from bundler.core.errors import PreconditionError


def loader_path() -> Path:
    """Where this distribution keeps ``bundler.pyz``; raises PreconditionError if it was not made yet."""
    path = Path(__file__).with_name("bundler.pyz")
    if not path.is_file():
        raise PreconditionError(
            "The loader bundler.pyz is not in this installation of bundler.",
            where=str(path),
            remedy="run ./scripts/build-loader in the checkout, or install a released airgap-bundler",
        )
    return path
