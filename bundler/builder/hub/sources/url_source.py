"""Plain addresses, each with the digest of what is to come from it: `{ urls: [ … ] }` of a recipe."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

import httpx2

from bundler.builder.hub.source import HttpFile
from bundler.builder.hub.sources.credentials import Credentials
from bundler.builder.hub.sources.document_failures import Asked, of_answer, translated
from bundler.builder.hub.sources.listing import ListedFile, Listing, selected, unknown_license
from bundler.builder.hub.sources.web import TIMEOUT_S, web
from bundler.builder.lock import LockedFile, LockedModel
from bundler.builder.recipe_models import ModelSpec, UrlFile
from bundler.core.errors import DownloadError


class UrlSource:
    """Files at addresses of their own; no commit and no licence can be read from them."""

    def __init__(
        self,
        files: Sequence[UrlFile],
        credentials: Credentials,
        ca_bundle: Path | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        hosts = sorted({urlsplit(file.url).hostname or "" for file in files})
        self.name = f"addresses at {', '.join(hosts)}"
        self._files = {file.path: file for file in files}
        self._credentials = credentials
        self._ca_bundle = ca_bundle
        self._timeout_s = timeout_s

    def resolve(self, wanted: ModelSpec) -> LockedModel:
        """The recipe says the digests; the servers are asked for the sizes of those files that are taken."""
        where = f"model {wanted.name}, {self.name}"
        taken = set(selected(list(self._files), wanted))
        files = tuple(
            ListedFile(path, self._size(file, where) if path in taken else 0, file.sha256, None)
            for path, file in self._files.items()
        )
        return Listing(wanted.repo, None, files, unknown_license()).locked(wanted, where)

    def locate(self, model: LockedModel, file: LockedFile) -> HttpFile:
        """Its address, where the recipe gives the digest of the lock; raises DownloadError where it does not."""
        known = self._files.get(file.path)
        where = f"{file.path} of model {model.name}, {self.name}"
        if known is None:
            raise DownloadError("the recipe has no address for it", where=where, remedy="add one to its urls")
        if file.sha256 is None or known.sha256 != file.sha256:
            what = "the recipe's digest is not that of the lock" if file.sha256 else "the lock has no sha256 of it yet"
            remedy = "correct the sha256 in the recipe, or move the lock on: bundler lock --upgrade"
            raise DownloadError(what, where=where, remedy=remedy)
        return HttpFile(known.url, self._headers(known.url))

    def _headers(self, url: str) -> dict[str, str]:
        """The size of the file as it is stored: no server may press it on the way."""
        return {"Accept-Encoding": "identity", **self._credentials.headers(url)}

    def _size(self, file: UrlFile, where: str) -> int:
        """Bytes, by HEAD, else by a range of one byte (RFC 9110, sections 8.6 and 14.4)."""
        asked = Asked(f"{file.path} of {where}", origin_for_people(file.url))
        with translated(asked):
            for method, more in (("HEAD", {}), ("GET", {"Range": "bytes=0-0"})):
                headers = {**self._headers(file.url), **more}
                with web(self._ca_bundle, self._timeout_s).stream(method, file.url, headers=headers) as answer:
                    size = _told_size(answer)
                    if size is not None:
                        return size
                    if method == "GET" and answer.is_error:
                        raise _refused(answer, asked)
        remedy = "serve it with its Content-Length, or with ranges"
        raise DownloadError("the server does not say how large it is", where=asked.where, remedy=remedy)


def origin_for_people(url: str) -> str:
    """Scheme and host, without what may be signed in the rest."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def _told_size(answer: httpx2.Response) -> int | None:
    total = answer.headers.get("Content-Range", "").rpartition("/")[2]
    if answer.status_code == 206:
        return int(total) if total.isdecimal() else None
    plain = answer.headers.get("Content-Encoding", "identity") == "identity"
    told = answer.headers.get("Content-Length", "")
    return int(told) if answer.is_success and plain and told.isdecimal() else None


def _refused(answer: httpx2.Response, asked: Asked) -> Exception:
    if answer.status_code in {404, 410}:
        return DownloadError("there is nothing at its address", where=asked.where, remedy="correct the address")
    return of_answer(answer, asked)
