"""Standard output and standard error, whatever the caller made of them."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from pathlib import Path
from typing import Any, TextIO


def make_usable() -> None:
    """Give the program both streams: a caller may have closed one (``>&-``), and a locale may lack letters."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 - to the end of the program
        elif isinstance(stream, io.TextIOWrapper):
            # A file name or a locale that cannot be written must not end a run that works.
            stream.reconfigure(errors="backslashreplace")


def detach(stream: TextIO) -> None:
    """Point the stream to nowhere, so that the interpreter's last flush of it does not fail again."""
    with contextlib.suppress(OSError, ValueError):  # it has no file below it
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


class Lasting:
    """A stream for progress: where it takes no more, a full disk under a log, the run goes on without it.

    A reader that went away (BrokenPipeError) ends the run all the same: whoever looked on has left.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write ``text``, and flush it: nothing that failed is tried again."""
        try:
            self._stream.write(text)
            self._stream.flush()
        except BrokenPipeError:
            raise
        except OSError:
            detach(self._stream)
        return len(text)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever else a stream has
        return getattr(self._stream, name)
