"""The Hub's own client, one connection from the file's start: for who trusts nothing else, or to compare with it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast
from urllib.parse import urlsplit

import httpx2
from huggingface_hub import errors as hub_errors
from huggingface_hub.file_download import http_get

from bundler.builder.hub.behind import Behind
from bundler.builder.hub.digests import Digests
from bundler.builder.hub.downloader import Order
from bundler.builder.hub.file_failures import refused
from bundler.builder.hub.limits import Limits
from bundler.builder.hub.proxies import is_signed, told
from bundler.builder.hub.retry import TransientError
from bundler.builder.hub.web import web
from bundler.core.errors import DownloadError


class HubClient:
    """The downloader called ``hub``."""

    name = "hub"

    def __init__(self, limits: Limits, ca_bundle: Path | None = None) -> None:
        self._limits = limits
        self._ca_bundle = ca_bundle

    def bring(self, order: Order) -> Digests:
        """See `bundler.builder.hub.downloader.Downloader`; what was here of the part is brought anew."""
        web(self._ca_bundle, self._limits.policy.timeout_s)  # what the client takes its connections from
        headers, size = dict(order.remote.headers), order.file.size
        with Behind(order, in_order=True) as behind, order.part.path.open("r+b", buffering=0) as raw:
            sink = cast("BinaryIO", _Sink(cast("BinaryIO", raw), order, self._limits))
            with self._limits.connection(), _translated(order.remote.url):
                http_get(
                    order.remote.url, sink, headers=headers, expected_size=size, displayed_filename=order.file.path
                )
            return behind.finish()


class _Sink:
    """The part as the client writes it: it may be stopped, and slowed down, at each piece."""

    def __init__(self, raw: BinaryIO, order: Order, limits: Limits) -> None:
        self._raw = raw
        self._order = order
        self._limits = limits

    def write(self, piece: bytes) -> int:
        self._limits.check()
        left = memoryview(piece)
        while left:
            left = left[self._raw.write(left) :]
        self._order.task.advance(len(piece))
        self._limits.rate.take(len(piece))
        return len(piece)

    def tell(self) -> int:
        return self._raw.tell()

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._raw.seek(offset, whence)

    def truncate(self) -> int:
        return self._raw.truncate()


@contextmanager
def _translated(url: str) -> Iterator[None]:
    """What the client raises about one address; a full disk passes through."""
    host = urlsplit(url).hostname
    try:
        yield
    except (hub_errors.HfHubHTTPError, httpx2.HTTPStatusError) as error:
        answer = error.response
        expires = answer.url.host != host or is_signed(str(answer.url))
        raise refused(answer.status_code, answer.headers, str(answer.url), expires=expires) from error
    except httpx2.TooManyRedirects as error:
        raise DownloadError(
            "the server redirects in a circle", where=told(url), remedy="check --endpoint and the proxy"
        ) from error
    except httpx2.RequestError as error:
        raise TransientError(f"{host}: {type(error).__name__} ({error or 'no answer'})") from error
    except ValueError as error:
        raise DownloadError(
            " ".join(str(error).split()), where=told(url), remedy="take --downloader auto for that file"
        ) from error
    except OSError as error:
        if error.errno is not None:
            raise
        raise TransientError(" ".join(str(error).split())) from error  # its own words for a body of the wrong length
