"""An image like Docker Hub's ``python:…-slim``, made of a Debian that debootstrap made: no registry is needed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from testbed import debian
from testbed.engines import RunningEngine
from testbed.images import debian_image

PYTHON_IMAGE = "python:3.12-slim"


@contextmanager
def python_image(engine: RunningEngine, work: Path, tag: str = PYTHON_IMAGE) -> Iterator[str]:
    """The image of that name in ``engine`` for the time of the block; ``work`` takes its build's context."""
    rootfs = debian.python_rootfs().path
    debian_image(engine, rootfs, "python-image:os")
    context = work / "python"
    context.mkdir()
    (context / "Dockerfile").write_text("FROM python-image:os\nRUN ln -s python3 /usr/bin/python\n")
    engine.docker("build", "--quiet", "--tag", tag, str(context))
    try:
        yield tag
    finally:
        engine.docker("rmi", tag, "python-image:os")
