"""Xet, the Hub's storage by chunks, through huggingface_hub and hf_xet: in a process that can be ended.

https://huggingface.co/docs/xet. The Hub names a file's Xet hash, and where to get a short-lived token for the storage,
in the headers of its ``resolve`` address; where it does not, the file comes by the usual way.
"""

from __future__ import annotations

import os
from urllib.parse import urlsplit

from bundler.builder.hub.digests import Digests
from bundler.builder.hub.downloader import Downloader, Order
from bundler.builder.hub.downloaders.behind import Behind
from bundler.builder.hub.downloaders.child import run_child
from bundler.builder.hub.downloaders.http import Http
from bundler.builder.hub.limits import Limits

_PROGRAM = """
from pathlib import Path
from urllib.parse import urlsplit
from huggingface_hub.file_download import get_hf_file_metadata, xet_get
told(0)
found = get_hf_file_metadata(job["url"], token=False, headers=job["headers"], endpoint=job["endpoint"]).xet_file_data
if found is None:
    raise RuntimeError("the Hub does not offer this file any more")
if urlsplit(found.refresh_route)[:2] != urlsplit(job["url"])[:2]:
    raise RuntimeError("the storage's tokens are to be had from another server, which is not shown ours")
class Bar:
    def update(self, size):
        told(size)
    def set_postfix_str(self, *_, **__):
        pass
    total = None
xet_get(incomplete_path=Path(job["path"]), xet_file_data=found, headers=job["headers"], expected_size=job["size"],
        _tqdm_bar=Bar())
"""


class Xet:
    """The downloader of that name; of one file, for ``name`` says in the end which way it came."""

    def __init__(self, http: Http, limits: Limits, otherwise: Downloader) -> None:
        self.name = "xet"
        self._http = http
        self._limits = limits
        self._otherwise = otherwise

    def bring(self, order: Order) -> Digests:
        """See `bundler.builder.hub.downloader.Downloader`; what was here of the part is brought anew."""
        if "X-Xet-Hash" not in self._http.first(order.remote):
            self.name = self._otherwise.name
            return self._otherwise.bring(order)
        parts = urlsplit(order.remote.url)
        job = {
            "url": order.remote.url,
            "endpoint": f"{parts.scheme}://{parts.netloc}",
            "path": os.fspath(order.part.path),
            "headers": dict(order.remote.headers),
            "size": order.file.size,
        }
        with Behind(order, in_order=False) as behind:
            run_child(self.name, _PROGRAM, job, self._limits, order.task.advance)
            return behind.finish()
