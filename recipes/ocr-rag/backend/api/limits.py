"""No request has more bytes than this, whatever it says of itself."""

from __future__ import annotations

import contextlib

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

#: 20 MiB for a page; texts at their most have as much.
MOST_BYTES = 20 * 1024 * 1024


class _TooLargeError(Exception):
    pass


class BodyLimit:
    """Answers 413 as soon as a body is too large: by its Content-Length, or when that many bytes have come."""

    def __init__(self, app: ASGIApp, most: int = MOST_BYTES) -> None:
        self.app, self.most = app, most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, counting."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        announced = dict(scope["headers"]).get(b"content-length", b"0")
        if announced.isdigit() and int(announced) > self.most:
            await self._refuse(scope, receive, send)
            return
        come, begun = 0, False

        async def counted() -> Message:
            nonlocal come
            message = await receive()
            come += len(message.get("body", b""))
            if come > self.most:
                raise _TooLargeError
            return message

        async def noted(message: Message) -> None:
            nonlocal begun
            if come > self.most and not begun:
                return  # what the application makes of a body that was cut off
            begun = True
            await send(message)

        with contextlib.suppress(_TooLargeError):
            await self.app(scope, counted, noted)
        if come > self.most and not begun:
            await self._refuse(scope, receive, send)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = JSONResponse(
            {"detail": f"the request has more than {self.most:,} bytes"}, 413, {"connection": "close"}
        )
        await answer(scope, receive, send)
