"""What each connection of a ranged attempt does: take a segment, ask for what it lacks, write what comes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from bundler.builder.hub.downloaders.answers import OtherFileError, if_range, range_end, require_same, require_whole
from bundler.builder.hub.downloaders.http import Answer
from bundler.builder.hub.downloaders.pace import Pace
from bundler.builder.hub.downloaders.place import Place
from bundler.builder.hub.downloaders.team import Team
from bundler.builder.hub.journal import Segment
from bundler.builder.hub.limits import Limits
from bundler.builder.hub.part import OpenPart
from bundler.builder.hub.retry import ADVANCE_BYTES, TransientError
from bundler.builder.lock import LockedFile

#: Below the 128 KiB from which on glibc maps memory anew for each piece, or keeps much of it for each thread.
_PIECE_BYTES = 120 << 10
#: So much may have to be brought again, by each connection, after a kill.
_MARK_BYTES = 64 << 10


class Streams:
    """The work at one file in one attempt; `work` is called by each of its threads."""

    def __init__(self, place: Place, limits: Limits, file: LockedFile, part: OpenPart, team: Team) -> None:
        self._place = place
        self._limits = limits
        self._file = file
        self._part = part
        self._team = team
        self._etag: str | None = None
        self._ranges = False
        rate = limits.rate.bytes_per_s
        self._piece = _PIECE_BYTES if rate is None else max(4096, min(_PIECE_BYTES, rate // 10))

    def work(self) -> None:
        """Bring segments until there are none; whatever is wrong ends up in the team."""
        try:
            failed = 0
            while (segment := self._team.take()) is not None:
                failed = self._try(segment, failed)
        except BaseException as error:  # noqa: BLE001 - of a thread: it is raised where the attempt was begun
            self._team.fail(error)
        finally:
            self._team.leave()

    def _try(self, segment: Segment, failed: int) -> int:
        """Work on one segment; gives the number of failures in a row."""
        before = self._part.written(segment)
        try:
            with self._limits.connection():
                self._bring(segment)
        except OtherFileError:
            raise
        except TransientError as error:
            self._team.put_back(segment)
            if self._team.over.is_set():
                return failed
            if error.retry_after_s is not None:
                raise  # the server wants peace from all of us
            if self._part.written(segment) - before >= ADVANCE_BYTES:
                return 0  # that line breaks, but it works: at once again
            return self._pause(error, failed + 1)
        return 0

    def _pause(self, error: TransientError, failed: int) -> int:
        self._team.troubled(error)
        self._team.over.wait(self._limits.policy.delay_s(failed, None, self._limits.clock.chance()))
        return failed

    def _bring(self, segment: Segment) -> None:
        """The rest of the segment, by as many answers as the server wants to give."""
        while self._part.written(segment) < segment.size and not self._team.over.is_set():
            start = segment.start + self._part.written(segment)
            with self._reading(self._asked(start, segment.end)) as answer:
                if answer.status == 206 and answer.encoding is None:
                    end = range_end(answer, self._file, start, segment.end)
                    self._require_same(answer)
                    self._ranges = True
                    self._team.widen()
                    self._copy(answer, segment, end - start)
                    continue
                self._require_same(answer)
                if self._ranges:
                    raise TransientError(f"{_host(answer)} sent the whole file where a range was asked for")
                if answer.status == 200:
                    self._whole(answer)
                    continue
            with self._reading({}) as answer:  # a range of an encoded file is of no use
                self._whole(answer)
        if not self._team.over.is_set():
            self._team.advanced()
            self._team.finished()

    def _asked(self, start: int, end: int) -> dict[str, str]:
        """A file that is small and not begun is asked for as everybody asks."""
        if start == 0 and end == self._file.size:
            return {}
        return {"Range": f"bytes={start}-{end - 1}", **if_range(self._etag)}

    def _require_same(self, answer: Answer) -> None:
        require_same(answer, self._etag)
        self._etag = answer.etag

    def _whole(self, answer: Answer) -> None:
        """The file from its start, of which only what is not here is written."""
        require_whole(answer, self._file)
        for segment in self._part.segments:
            self._copy(answer, segment, segment.size, skipped=self._part.written(segment))
        if answer.read(1, decoded=True):
            raise TransientError(f"{_host(answer)} has more bytes for this file than the lock")
        self._team.end()

    def _copy(self, answer: Answer, segment: Segment, count: int, skipped: int = 0) -> None:
        """``count`` bytes of the answer, of which the first ``skipped`` are here already."""
        pace, decoded = Pace(self._limits.policy, _host(answer)), answer.encoding is not None
        try:
            while count:
                began = time.monotonic()
                piece = answer.read(min(skipped or count, self._piece), decoded=decoded)
                pace.heard(len(piece), time.monotonic() - began)
                if not piece:
                    raise TransientError(f"{_host(answer)} ended the file {count:,} bytes too early")
                count -= len(piece)
                if skipped:
                    skipped -= len(piece)
                else:
                    self._write(segment, piece)
                self._limits.rate.take(len(piece))
                self._limits.check()
        finally:
            self._part.mark(segment)

    def _write(self, segment: Segment, piece: bytes) -> None:
        self._part.write(segment, piece)
        if self._part.unmarked(segment) >= _MARK_BYTES:
            self._part.mark(segment)
            self._team.advanced()

    @contextmanager
    def _reading(self, headers: dict[str, str]) -> Iterator[Answer]:
        answer = self._place.open(headers)
        self._team.enter(answer)
        try:
            yield answer
        finally:
            self._team.exit(answer)


def _host(answer: Answer) -> str:
    return urlsplit(answer.url).hostname or "the server"
