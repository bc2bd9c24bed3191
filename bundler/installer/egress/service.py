"""A service that was started to be asked: from inside its network name space, which nothing else leads into.

Whoever asks is a container of its own beside it, with a program of ours (`asker_program`). So it is the same for every
engine, with and without root's rights, on this host and on others; and the service's image needs to hold nothing for it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Callable

from bundler.core.digest import Digest
from bundler.core.docker_api import EngineRefusedError
from bundler.core.egress import NoEgress
from bundler.installer.egress.holder_image import ASKER
from bundler.installer.engine import Engine, HasNetwork, Running, RunSpec

#: An engine may know that a container's process is gone before it says so.
_PATIENCE_S = 5.0
_POLL_S = 0.1


class ServiceEndedError(Exception):
    """The service has ended, so there is nobody to be asked; never seen outside of checks."""


@dataclass(frozen=True)
class Service:
    """``running`` in ``network``; ``helpers`` is the image with our programs, ``collect`` what the service tried up to now."""

    engine: Engine
    running: Running
    network: HasNetwork
    helpers: Digest
    collect: Callable[[], NoEgress]

    @contextmanager
    def asked(self, port: int, request: str) -> Iterator[Running]:
        """A program that sends ``request`` to the port as soon as that takes a connection, and prints the answer.

        It is killed when the block ends. Raises ServiceEndedError, and EngineError as the engine does.
        """
        spec = RunSpec((ASKER, str(port), request), 0.0, user="65534:65534", network=self.network)
        if self.running.exit_code() is not None:
            raise ServiceEndedError
        with ExitStack() as stack:
            try:
                asker = stack.enter_context(self.engine.started(self.helpers, spec))
            except EngineRefusedError as error:  # nobody joins a container that has ended
                if self.ends_soon():
                    raise ServiceEndedError from error
                raise
            yield asker

    def ends_soon(self) -> bool:
        """Whether the service has ended: now, or as soon as the engine says so."""
        deadline = time.monotonic() + _PATIENCE_S
        while self.running.exit_code() is None:
            if time.monotonic() >= deadline:
                return False
            time.sleep(_POLL_S)
        return True
