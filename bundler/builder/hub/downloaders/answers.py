"""Whether an answer is what was asked for: the same file, the range that was named, bytes as they stand."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from bundler.builder.hub.downloaders.http import Answer
from bundler.builder.hub.retry import TransientError
from bundler.builder.lock import LockedFile

#: What can be undone with the standard library; anything else is not the file.
_DECODABLE = frozenset({"gzip", "x-gzip", "deflate"})
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")  # RFC 9110, 14.4


class OtherFileError(TransientError):
    """The server has another file than the locked one, or than it had a moment ago: no connection of it helps."""


def range_end(answer: Answer, file: LockedFile, start: int, end: int) -> int:
    """Up to where (exclusive) the partial answer goes, at most ``end``; raises TransientError if it is another range."""
    match = _CONTENT_RANGE.fullmatch(answer.headers.get("Content-Range", "").strip())
    if match is None:
        raise TransientError(f"{_host(answer)} does not say which part of the file it sends")
    first, last, total = match.groups()
    if total not in ("*", str(file.size)):
        raise _other_size(answer, file, int(total))
    if int(first) != start or int(last) < start:
        raise TransientError(f"{_host(answer)} sends bytes {first} to {last}, but byte {start} was asked for")
    if answer.length is not None and answer.length != int(last) + 1 - int(first):
        raise TransientError(f"{_host(answer)} sends {answer.length} bytes for the range {first} to {last}")
    return min(int(last) + 1, end)


def require_whole(answer: Answer, file: LockedFile) -> None:
    """Raise TransientError unless the answer may be the whole file."""
    if answer.encoding is not None:
        if answer.encoding not in _DECODABLE:
            raise TransientError(
                f"{_host(answer)} sends the file encoded as {answer.encoding}, which was not asked for"
            )
        return
    if answer.length == file.size:
        return
    if _is_page(answer) and not file.path.endswith((".html", ".htm")):
        raise TransientError(
            f"{_host(answer)} sent a web page in the place of the file: a proxy, or a network that wants a sign-in"
        )
    if answer.length is not None:
        raise _other_size(answer, file, answer.length)


def require_same(answer: Answer, etag: str | None) -> None:
    """Raise TransientError where the server has another file now than when ``etag`` was seen."""
    if etag is not None and answer.etag is not None and answer.etag != etag:
        raise OtherFileError(f"{_host(answer)} has changed the file while it was read (its ETag is another)")


def if_range(etag: str | None) -> dict[str, str]:
    """The header that asks for a range of that very file; a weak tag may not be named (RFC 9110, 13.1.5)."""
    return {"If-Range": etag} if etag and not etag.startswith("W/") else {}


def _is_page(answer: Answer) -> bool:
    return answer.headers.get("Content-Type", "").lower().startswith(("text/html", "application/xhtml"))


def _other_size(answer: Answer, file: LockedFile, size: int) -> OtherFileError:
    return OtherFileError(f"{_host(answer)} has {size:,} bytes for this file, which has {file.size:,} in the lock")


def _host(answer: Answer) -> str:
    return urlsplit(answer.url).hostname or "the server"
