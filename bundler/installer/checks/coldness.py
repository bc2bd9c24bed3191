"""A cold start: the model's files leave the page cache, so that what loads them next reads them from the disk.

They are reached through a container of the image in which nothing of the image runs, or where they are mounted from. An
image is not to be trusted: its files are opened one directory after the other, below its root, and no link is followed.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Callable

from bundler.core.docker_api import EngineRefusedError
from bundler.installer.checks.page_cache import evict
from bundler.installer.checks.scene import Scene
from bundler.installer.egress.holder_image import can_hold
from bundler.installer.egress.watch import is_here

#: Of the files' bytes: so much may stay in memory of a start that is called cold.
_ALLOWED_SHARE = 0.01
_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True)
class Coldness:
    """What was taken out of the page cache: ``size`` bytes of files; or ``why_not``, where it could not be done."""

    size: int = 0
    why_not: str = ""


class _NotHere(Exception):  # noqa: N818 - nothing is wrong, only one figure less can be told
    """Why no start can be made cold here."""


def make_cold(scene: Scene) -> Coldness:
    """Take the files of the scene's models out of the page cache; raises EngineError as the engine does."""
    try:
        with ExitStack() as stack:
            size, left = evict(_in_image(scene, stack) if scene.model_files else partial(_mounted, scene))
    except _NotHere as error:
        return Coldness(why_not=str(error))
    except OSError as error:
        return Coldness(why_not=f"the model's files cannot be taken out of memory: {error.strerror or error}")
    if not size:
        return Coldness(why_not="the image holds no model")
    if left > size * _ALLOWED_SHARE:
        return Coldness(why_not=f"{left:,} of {size:,} bytes of the model's files stay in memory: something uses them")
    return Coldness(size)


def _mounted(scene: Scene) -> Iterator[int]:
    """The files of a quick rehearsal: directories of this host, made by this program."""
    for folder in scene.surroundings.mounts.values():
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                with path.open("rb") as stream:
                    yield stream.fileno()


def _in_image(scene: Scene, stack: ExitStack) -> Callable[[], Iterator[int]]:
    """The files in a container of the image, for as long as ``stack`` is open; raises _NotHere."""
    if os.geteuid() != 0:
        raise _NotHere("root's rights are needed, and this is another user")
    platform = scene.engine.facts().platform
    if not can_hold(platform):
        raise _NotHere(f"there is no program that only waits for {platform}")
    try:
        holder = stack.enter_context(scene.engine.paused(scene.image_id))
    except EngineRefusedError as error:
        raise _NotHere(f"the engine does not run a container that only waits: {error.message}") from error
    if not is_here(holder):
        raise _NotHere("the engine's processes are not seen from here")
    process = Path("/proc", str(holder.pid))
    if (kind := _root_file_system(process)) != "overlay":
        raise _NotHere(f"on {kind} each container has files of its own, which do not share what is in memory")
    return partial(_opened_all, process / "root", scene.model_files)


def _root_file_system(process: Path) -> str:
    """Its kind (proc(5), ``mountinfo``: the fifth field is where it is mounted, the kind follows a lone ``-``)."""
    lines = (process / "mountinfo").read_text("utf-8", "replace").splitlines()
    roots = [line for line in lines if line.split()[4] == "/"]
    return roots[-1].partition(" - ")[2].split()[0] if roots else "an unknown file system"


def _opened_all(root: Path, paths: tuple[str, ...]) -> Iterator[int]:
    descriptor = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for path in paths:
            with opened_below(descriptor, path) as file:
                yield file
    finally:
        os.close(descriptor)


@contextmanager
def opened_below(root: int, path: str) -> Iterator[int]:
    """The regular file at ``path`` below the directory ``root``, to be read; raises OSError where there is none.

    ``path`` has no ``.`` and no ``..``; a link in it is not followed, but refused.
    """
    with ExitStack() as stack:
        folder = root
        *parents, name = PurePosixPath(path.lstrip("/")).parts
        for part in parents:
            folder = os.open(part, _FOLDER, dir_fd=folder)
            stack.callback(os.close, folder)
        if not stat.S_ISREG(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
            raise OSError(0, f"{path} is not a regular file")
        descriptor = os.open(name, _FILE, dir_fd=folder)
        stack.callback(os.close, descriptor)
        yield descriptor
