"""Sending an archive to Docker and reading its whole answer: the status of HTTP says nothing about success.

A graph driver answers ``{"errorDetail": …}`` inside a stream of status 200; a containerd store of Docker 28 names the
image first and says ``Error unpacking image …`` as plain text afterwards. So each line has to be one that is known
to be good, the expected image has to be among them, and what was named before a failure is told to the caller.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, Optional

from bundler.core.digest import Digest
from bundler.core.docker_api import ANSWER_TIMEOUT_S, Answer, EngineClient, complaint, translated
from bundler.core.errors import BundlerError, EngineError

#: An engine is silent while it unpacks; slower than this (bytes a second) is taken for a hang.
SLOWEST_UNPACKING = 2 << 20
_CHUNK_BYTES = 4096
_MAX_LINE_BYTES = 1 << 20
_LOADED = re.compile(r"Loaded image(?: ID)?: *(\S+)\s*")


class _Body:
    """The archive as the body of a request, cut off where making it fails; ``error`` is what failed.

    The request ends in good order even then, with a tar that breaks off inside a member: an engine refuses that and
    cleans up. Were the connection cut, containerd would keep the half layer for 24 hours under a lease that Docker
    cannot give back any more.
    """

    def __init__(self, archive: Iterable[bytes]) -> None:
        self._archive = iter(archive)
        self.error: Optional[BaseException] = None

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._archive
        except GeneratorExit:
            raise
        except BaseException as error:  # noqa: BLE001 - raised again by `send_archive`
            self.error = error


def send_archive(client: EngineClient, archive: Iterable[bytes], size: int, named: set[Digest]) -> None:
    """Load ``archive``, whose layer unpacks to ``size`` bytes; ``named`` takes the ids that the engine speaks of.

    Raises for whatever the engine says that is not success; what ``archive`` raises comes through as it is.
    """
    body = _Body(archive)
    try:
        _exchange(client, body, size, named)
    except BundlerError:
        if body.error is None:
            raise
    if body.error is not None:
        raise body.error


def _exchange(client: EngineClient, body: Iterable[bytes], size: int, named: set[Digest]) -> None:
    # Without quiet=1 the engine tells its progress while it still reads, and nobody reads that before the end.
    answer = client.ask(
        "POST",
        "/images/load",
        params={"quiet": "1"},
        data=body,
        timeout_s=ANSWER_TIMEOUT_S + size / SLOWEST_UNPACKING,
        stream=True,
    )
    try:
        for line in _lines(answer, client.address):
            _read_line(line, client.address, named)
    finally:
        answer.close()


def _lines(answer: Answer, where: str) -> Iterator[bytes]:
    """The lines of an answer that are not empty."""
    rest = b""
    with translated(where):
        for piece in answer.iter_content(_CHUNK_BYTES):
            *lines, rest = (rest + piece).split(b"\n")
            yield from (line for line in lines if line.strip())
            if len(rest) > _MAX_LINE_BYTES:
                raise _not_understood(rest[:200], where)
    if rest.strip():
        yield rest


def _read_line(line: bytes, where: str, named: set[Digest]) -> None:
    """Take the id out of a line that tells success; raise for any other line."""
    try:
        document: Any = json.loads(line)
    except ValueError as error:
        raise _not_understood(line, where) from error
    if not isinstance(document, dict):
        raise _not_understood(line, where)
    detail = document.get("errorDetail") or {}
    if message := document.get("error") or (isinstance(detail, dict) and detail.get("message")):
        raise complaint(str(message), where)
    text = str(document.get("stream") or "").strip()
    match = _LOADED.fullmatch(text)
    if match:
        named.add(_digest(match[1], where))
    elif text:
        raise complaint(text, where)


def _digest(text: str, where: str) -> Digest:
    try:
        return Digest.parse(text)
    except ValueError as error:
        raise _not_understood(text.encode(), where) from error


def _not_understood(line: bytes, where: str) -> EngineError:
    return EngineError(
        f"the engine answered a load with something unknown: {line[:200].decode(errors='replace')}",
        where=where,
        remedy="look into the engine's log; report this with the engine's version if it happens again",
    )
