"""One run at a time for what two runs would spoil: an advisory lock on a file (``flock(2)``)."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Optional

from bundler.core.errors import PreconditionError

_POLL_S = 0.2


class HeldLockError(PreconditionError):
    """Another run holds the lock."""


@contextmanager
def exclusive_lock(
    path: Path,
    subject: str,
    timeout_s: float = 0.0,
    told: Optional[Callable[[str], None]] = None,
    meanwhile: Optional[Callable[[], None]] = None,
) -> Iterator[None]:
    """Hold the lock at ``path`` while the block runs; it ends with the process, however that ends.

    ``subject`` says what is locked, for the message. Waits ``timeout_s`` seconds for another run to finish, and tells
    ``told`` once that it does; ``meanwhile`` is called again and again, and may raise. Then raises HeldLockError;
    PreconditionError where the lock cannot be made.
    """
    descriptor = _open(path)
    try:
        _acquire(descriptor, path, subject, timeout_s, told, meanwhile)
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        yield
    finally:
        os.close(descriptor)


def _open(path: Path) -> int:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise PreconditionError(
            f"the lock on {path.name} cannot be made: {error.strerror}",
            where=str(error.filename or path),
            remedy="make the directory writable, or choose another one",
        ) from error


def _acquire(
    descriptor: int,
    path: Path,
    subject: str,
    timeout_s: float,
    told: Optional[Callable[[str], None]],
    meanwhile: Optional[Callable[[], None]],
) -> None:
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
            why = f"another run (process {holder}) is working on {subject}"
            if time.monotonic() >= deadline:
                remedy = "wait until it has finished, or give --lock-timeout SECONDS to wait for it"
                raise HeldLockError(why, where=str(path), remedy=remedy) from None
            if told:
                told(f"waiting, since {why}")
                told = None
            if meanwhile:
                meanwhile()
            time.sleep(_POLL_S)
        else:
            return
