"""What a request is told that is not of the form it has to have."""

from __future__ import annotations

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from starlette.responses import JSONResponse


async def tell_where(_: Request, error: RequestValidationError) -> JSONResponse:
    """422 with the place and the reason of each fault, and no word of what was sent.

    That may be what no JSON can say: NaN, an infinite number, half of a surrogate pair, a megabyte.
    """
    faults = [
        {
            "type": each["type"],
            "loc": [_writable(part) if isinstance(part, str) else part for part in each["loc"]],
            "msg": _writable(each["msg"]),
        }
        for each in error.errors()
    ]
    return JSONResponse({"detail": faults}, 422)


def _writable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()
