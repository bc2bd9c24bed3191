"""The start of the server: load, or end. The message says what to do; a traceback stands beside it where nobody foresaw why."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from starlette.types import ASGIApp, Receive, Scope, Send

from backend.errors import ServiceError
from backend.stack import Stack

_log = logging.getLogger("uvicorn.error")


class LoadAtStart:
    """Puts what ``load`` gives at ``app.state.stack`` before the first request is taken."""

    def __init__(self, app: ASGIApp, load: Callable[[], Awaitable[Stack]]) -> None:
        self.app, self.load = app, load

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Requests are passed on; the server's start and end are answered here."""
        if scope["type"] != "lifespan":
            await self.app(scope, receive, send)
            return
        await receive()
        try:
            stack = await self.load()
        except ServiceError as error:
            await send({"type": "lifespan.startup.failed", "message": f"error: {error}"})
            return
        except Exception as error:  # noqa: BLE001 - whatever it is, there is no service
            # Passed on, it would end the process under `--lifespan on` alone: else the server answers 500 for ever.
            _log.exception("error: the start failed, and not by a known fault: %r", error)
            await send({"type": "lifespan.startup.failed", "message": ""})
            return
        scope["app"].state.stack = stack
        for each in stack.loaded:
            _log.info("loaded %s from %s in %.2f s", each.model, each.path, each.seconds)
        _log.info("all models loaded in %.1f s", stack.seconds)
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
