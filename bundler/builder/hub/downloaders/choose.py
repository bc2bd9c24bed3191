"""Which downloader brings a file. `docs/adr/0006-downloaders.md` has the reasons and the figures."""

from __future__ import annotations

import os
from pathlib import Path

from bundler.builder.hub.downloader import Downloader
from bundler.builder.hub.downloaders.http import Http
from bundler.builder.hub.downloaders.hub_client import HubClient
from bundler.builder.hub.downloaders.proxies import proxy_for
from bundler.builder.hub.downloaders.ranged import Ranged
from bundler.builder.hub.downloaders.transfer import HfTransfer
from bundler.builder.hub.downloaders.xet import Xet
from bundler.builder.hub.limits import Limits
from bundler.builder.hub.part import Part
from bundler.builder.hub.source import HttpFile
from bundler.builder.lock import LockedFile
from bundler.builder.recipe_models import DownloaderName

#: The Hub serves no larger file by plain HTTP (``huggingface_hub.constants.MAX_HTTP_DOWNLOAD_SIZE``).
_LARGEST_PLAIN = 50_000_000_000
#: What names certificate authorities to our client, and to no library with TLS of its own.
_AUTHORITIES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


class Chosen:
    """One that was asked for has the first attempt; the others resume, whatever was asked."""

    def __init__(self, limits: Limits, way: DownloaderName = "auto", ca_bundle: Path | None = None) -> None:
        self._limits = limits
        self._way = way
        self._ca_bundle = ca_bundle
        self._http = Http(limits.policy, limits.connections, ca_bundle)
        self._ranged = Ranged(self._http, limits)
        self._authorities = ca_bundle is not None or any(os.environ.get(name) for name in _AUTHORITIES)

    def downloader(self, file: LockedFile, remote: HttpFile, part: Part, attempt: int) -> Downloader:
        """The one for this attempt (from 1)."""
        way = self._way_for(file, remote, part) if attempt == 1 else "ranged"
        if way == "hub" and remote.hub and file.size and self._limits.rate.bytes_per_s is None:
            return HubClient(self._http, self._limits, self._ca_bundle)
        if way == "xet" and remote.hub and self._may_be_foreign(remote):
            return Xet(self._http, self._limits, self._ranged)
        if way == "hf_transfer" and file.size and self._may_be_foreign(remote):
            return HfTransfer(self._http, self._limits)
        return self._ranged

    def _way_for(self, file: LockedFile, remote: HttpFile, part: Part) -> str:
        if self._way != "auto":
            return self._way
        return "xet" if remote.hub and file.size > _LARGEST_PLAIN and not part.here() else "ranged"

    def _may_be_foreign(self, remote: HttpFile) -> bool:
        """Whether a library in a process of its own would do what was asked: it knows of no limit, and of TLS its own."""
        if self._limits.rate.bytes_per_s is not None or proxy_for(remote.url) is not None:
            return False
        return not (self._authorities and remote.url.startswith("https:"))
