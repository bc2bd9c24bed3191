"""How many questions are in the service at once."""

from __future__ import annotations

import asyncio

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

#: Models answer one at a time, so more would wait longer, with up to 20 MiB each. The server has 40 threads: all find one.
MOST_INSIDE = 16
#: Who sends nothing for so long would keep a place for ever.
LONGEST_SILENCE_S = 30
_COME_AGAIN_IN_S = 5


class Admission:
    """Lets ``most`` POST requests in, those that wait for a model included; the next gets 503 and when to come again.

    They count from their head on, before a body is read. GET is always let in: what asks for ``/health`` would take a service
    that is busy for one that is dead.
    """

    def __init__(self, app: ASGIApp, most: int = MOST_INSIDE) -> None:
        self.app, self.most, self.inside = app, most, 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on where there is a place."""
        if scope["type"] != "http" or scope["method"] != "POST":
            await self.app(scope, receive, send)
        elif self.inside >= self.most:
            await self._refuse(scope, receive, send)
        else:
            await self._admit(scope, receive, send)

    async def _admit(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def heard() -> Message:
            return await asyncio.wait_for(receive(), LONGEST_SILENCE_S)

        self.inside += 1
        try:
            await self.app(scope, heard, send)
        finally:
            self.inside -= 1

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = JSONResponse(
            {"detail": f"{self.most} requests are being answered or wait; come again in {_COME_AGAIN_IN_S} s"},
            503,
            {"retry-after": str(_COME_AGAIN_IN_S), "connection": "close"},
        )
        await answer(scope, receive, send)
