"""hf_transfer: several connections to one file, in a process that can be ended, hashed behind it.

The library has no stall limit, writes its ranges in any order and resumes nothing (``docs/hub-facts.md``). It is given
the address that redirects lead to, for it would show the token to another port of the same host.
"""

from __future__ import annotations

import os

from bundler.builder.hub.digests import Digests
from bundler.builder.hub.downloader import Order
from bundler.builder.hub.downloaders.behind import Behind
from bundler.builder.hub.downloaders.child import run_child
from bundler.builder.hub.downloaders.http import Http
from bundler.builder.hub.downloaders.proxies import same_origin
from bundler.builder.hub.limits import Limits

#: A step of progress, too: small enough that a line of 1 MB/s is not taken for one that stands still.
_RANGE_SIZE = 4 << 20
_PROGRAM = """
import hf_transfer
told(0)
hf_transfer.download(job["url"], job["path"], job["connections"], job["range_size"], headers=job["headers"], callback=told)
"""


class HfTransfer:
    """The downloader of that name."""

    name = "hf_transfer"

    def __init__(self, http: Http, limits: Limits) -> None:
        self._http = http
        self._limits = limits

    def bring(self, order: Order) -> Digests:
        """See `bundler.builder.hub.downloader.Downloader`; what was here of the part is brought anew."""
        answer = self._http.open(order.remote, {"Range": "bytes=0-0"})
        answer.drain()
        own = order.remote.headers if same_origin(order.remote.url, answer.url) else {}
        job = {
            "url": answer.url,
            "path": os.fspath(order.part.path),
            "headers": dict(own),
            "connections": self._limits.connections,
            "range_size": _RANGE_SIZE,
        }
        with Behind(order, in_order=False) as behind:
            run_child(self.name, _PROGRAM, job, self._limits, order.task.advance)
            return behind.finish()
