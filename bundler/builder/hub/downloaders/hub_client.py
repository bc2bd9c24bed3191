"""The Hub's own client, one connection from the file's start: for who trusts nothing else, or to compare with it.

It notices no line that trickles, so it too is watched from outside, in a process that can be ended.
"""

from __future__ import annotations

import os
from pathlib import Path

from bundler.builder.hub.digests import Digests
from bundler.builder.hub.downloader import Order
from bundler.builder.hub.downloaders.behind import Behind
from bundler.builder.hub.downloaders.child import run_child
from bundler.builder.hub.downloaders.http import Http
from bundler.builder.hub.limits import Limits

#: What the client reads at once, 10 MB otherwise; only whole pieces are written, and each is a step of progress.
_PIECE_SIZE = 256 << 10
_PROGRAM = """
from pathlib import Path
from huggingface_hub import constants
from huggingface_hub.file_download import http_get
from bundler.builder.hub.sources.web import web
web(Path(job["ca_bundle"]) if job["ca_bundle"] else None, job["timeout_s"])
constants.DOWNLOAD_CHUNK_SIZE = job["piece_size"]
told(0)
class Sink:
    def __init__(self, stream):
        self.stream, self.tell, self.seek, self.truncate = stream, stream.tell, stream.seek, stream.truncate
    def write(self, piece):
        self.stream.write(piece)
        self.stream.flush()
        told(len(piece))
with open(job["path"], "r+b") as stream:
    http_get(job["url"], Sink(stream), headers=job["headers"], expected_size=job["size"], displayed_filename="it")
"""


class HubClient:
    """The downloader called ``hub``."""

    name = "hub"

    def __init__(self, http: Http, limits: Limits, ca_bundle: Path | None = None) -> None:
        self._http = http
        self._limits = limits
        self._ca_bundle = ca_bundle

    def bring(self, order: Order) -> Digests:
        """See `bundler.builder.hub.downloader.Downloader`; what was here of the part is brought anew."""
        self._http.open(order.remote, {"Range": "bytes=0-0"}).drain()  # a refusal is told in our own words
        job = {
            "url": order.remote.url,
            "path": os.fspath(order.part.path),
            "headers": dict(order.remote.headers),
            "size": order.file.size,
            "piece_size": _PIECE_SIZE,
            "timeout_s": self._limits.policy.timeout_s,
            "ca_bundle": os.fspath(self._ca_bundle) if self._ca_bundle else None,
        }
        with Behind(order, in_order=True) as behind:
            run_child(self.name, _PROGRAM, job, self._limits, order.task.advance)
            return behind.finish()
