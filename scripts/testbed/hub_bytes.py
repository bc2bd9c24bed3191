"""A file's bytes as an answer: ranges, the speed of the line, and the faults that strike inside."""

from __future__ import annotations

import gzip
import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import Optional

from testbed.hub_faults import BREAKS, Fault, Kind, Span
from testbed.hub_http import PORTAL, Handler, RefusedError
from testbed.hub_line import Line
from testbed.hub_repo import HubFile

_PIECE = 256 * 1024
_INVERTED = bytes(255 - value for value in range(256))


class FileHandler(Handler):
    """Answers with files."""

    def send_file(self, file: HubFile, headers: Mapping[str, str]) -> None:
        """Answer with a file or the range of it that was asked for, and meet the faults planned for its body."""
        etag = self.new_etag or file.etag
        span = self._span(file.size, etag)
        fault = None
        if self.command == "GET":
            fault = self.hub.faults.take("GET", self.seen.path, span=span, cdn=self.place == "cdn")
        answer = {"ETag": f'"{etag}"', "Accept-Ranges": "bytes", "Content-Type": "application/octet-stream", **headers}
        if fault and fault.kind in (Kind.HTML_SIZED, Kind.GZIP):
            self._send_other(file, fault, answer)
            return
        size = file.size
        if fault and fault.kind is Kind.CHANGED:
            etag = hashlib.sha256(f"{etag} changed".encode()).hexdigest()
            answer["ETag"] = f'"{etag}"'
            span = self._span(size, etag)
        elif fault and fault.kind is Kind.WRONG_LENGTH:
            size += fault.by
            span = self._span(size, etag)
        elif fault and fault.kind is Kind.NO_RANGES:
            span = Span(0, size, False)
        elif fault and fault.kind is Kind.WRONG_RANGE:
            span = Span(span.start + 1, span.end, True)
        answer["Content-Length"] = str(span.size)
        if span.partial:
            answer["Content-Range"] = f"bytes {span.start}-{span.end - 1}/{size}"
        if fault and fault.kind not in BREAKS:
            self.hub.faults.strikes(fault)
        self.head(206 if span.partial else 200, answer)
        if self.command == "GET":
            self._send_span(file, span, fault)

    def _send_other(self, file: HubFile, fault: Fault, answer: dict[str, str]) -> None:
        """Something that is not the file's bytes, whatever range was asked for."""
        if fault.kind is Kind.GZIP:
            body = gzip.compress(file.source.read_bytes(), 1)
            answer = {**answer, "Content-Encoding": "gzip", "ETag": f"W/{answer['ETag']}"}
            answer.pop("Accept-Ranges")
        else:
            body = PORTAL[: file.size].ljust(file.size)
            answer = {"Content-Type": "text/html; charset=utf-8"}
        self.hub.faults.strikes(fault)
        self.send(200, body, answer)

    def _span(self, size: int, etag: str) -> Span:
        """The range that was asked for, clamped (RFC 9110, 14.2; If-Range: 13.1.5)."""
        match = re.fullmatch(r"bytes=(\d*)-(\d*)", (self.headers["Range"] or "").strip())
        quoted = f'"{etag}"'
        if match is None or match.group(0) == "bytes=-" or self.headers.get("If-Range", quoted) != quoted:
            return Span(0, size, False)
        first, last = match.groups()
        start = int(first) if first else max(0, size - int(last))
        end = min(size, int(last) + 1) if first and last else size
        if start >= end:
            raise RefusedError(416, "", "Range Not Satisfiable", {"Content-Range": f"bytes */{size}"})
        return Span(start, end, True)

    def _send_span(self, file: HubFile, span: Span, fault: Fault | None) -> None:
        try:
            whole = self._send_pieces(file, span, fault)
        except OSError:
            if fault and fault.kind in BREAKS:
                self.hub.faults.missed(fault)
            raise
        if whole and fault and fault.kind in BREAKS:
            self._break_off(file, span, fault)

    def _send_pieces(self, file: HubFile, span: Span, fault: Fault | None) -> bool:
        """What is to be sent before the answer ends or breaks off; False where the server ends meanwhile."""
        slow = Line(fault.bytes_per_s) if fault and fault.kind is Kind.SLOW else None
        for chunk in self._chunks(file, span, fault, slow):
            self.seen.sent += len(chunk)  # before whoever gets the last one looks
            self.wfile.write(chunk)
            waits = [self.line.delay_s(len(chunk)), self.hub.line.delay_s(len(chunk))]
            if slow and fault and self.seen.sent > fault.after:
                waits.append(slow.delay_s(len(chunk)))
            if max(waits) > 0 and self.hub.stopping.wait(max(waits)):
                self.close_connection = True
                return False
        return True

    def _chunks(self, file: HubFile, span: Span, fault: Fault | None, slow: Optional[Line]) -> Iterator[bytes]:
        end = span.start + fault.after if fault and fault.kind in BREAKS else span.end
        usual = self.hub.line.piece_size(self.line.piece_size(_PIECE))
        with file.source.open("rb") as stream:
            stream.seek(span.start)
            at = span.start
            while at < end:
                size = min(usual, end - at)
                if slow and fault:
                    quick = span.start + fault.after - at  # bytes that still go at full speed
                    size = min(size, quick) if quick > 0 else slow.piece_size(size)
                chunk = stream.read(size) or bytes(size)  # a file that was made longer ends in zeros
                yield _harmed(chunk, at, fault)
                at += len(chunk)

    def _break_off(self, file: HubFile, span: Span, fault: Fault) -> None:
        self.wfile.flush()
        self.hub.faults.strikes(fault)
        if fault.kind is Kind.RESET:
            self.reset()
        elif fault.kind is Kind.STALL and self.hub.stall(fault):
            self._send_span(file, Span(span.start + self.seen.sent, span.end, span.partial), None)
            return
        self.close_connection = True


def _harmed(chunk: bytes, at: int, fault: Fault | None) -> bytes:
    """The bytes from offset ``at`` on, as a fault has them."""
    if fault and fault.kind is Kind.CHANGED:
        return chunk.translate(_INVERTED)
    if fault and fault.kind is Kind.WRONG_BYTES and at <= fault.after < at + len(chunk):
        place = fault.after - at
        return chunk[:place] + bytes([chunk[place] ^ 0xFF]) + chunk[place + 1 :]
    return chunk
