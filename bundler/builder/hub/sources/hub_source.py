"""The Hub, or a mirror that speaks its protocol: https://huggingface.co/docs/hub/api, and ``docs/hub-facts.md``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2
from huggingface_hub.hf_api import ModelInfo
from huggingface_hub.utils import build_hf_headers, hf_raise_for_status

from bundler import __version__
from bundler.builder.hub.retry import TransientError
from bundler.builder.hub.source import HttpFile
from bundler.builder.hub.sources.credentials import Credentials
from bundler.builder.hub.sources.document_failures import Asked, document, of_answer, page_instead, translated
from bundler.builder.hub.sources.endpoints import Endpoint
from bundler.builder.hub.sources.hub_files import listed_in, next_page, told_in
from bundler.builder.hub.sources.listing import ListedFile, Listing, license_of
from bundler.builder.hub.sources.terms import LARGEST_TEXT, fits, license_texts
from bundler.builder.hub.sources.web import TIMEOUT_S, web
from bundler.builder.lock import LicenseText, LockedFile, LockedLicense, LockedModel
from bundler.builder.recipe_models import ModelSpec
from bundler.core.errors import DownloadError

_COMMIT_DIGITS = 40
_NO_SUCH_QUESTION = frozenset({404, 405, 501})


class HubSource:
    """One server of the Hub's protocol. ``name`` is its address, which holds no credentials."""

    def __init__(
        self,
        endpoint: Endpoint,
        credentials: Credentials,
        ca_bundle: Path | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self.name = endpoint.url
        self._credentials = credentials
        self._ca_bundle = ca_bundle
        self._timeout_s = timeout_s

    def resolve(self, wanted: ModelSpec) -> LockedModel:
        """Ask what the revision is; names, sizes and digests come from the answer alone."""
        where = f"model {wanted.name}, {wanted.repo}@{wanted.revision} at {self.name}"
        asked = self._asked(where, wanted.repo, wanted.revision)
        info = self._model_info(wanted, asked)
        if not info.sha or (_is_commit(wanted.revision) and info.sha != wanted.revision):
            what = "the answer names another commit than asked for" if info.sha else "the answer names no commit"
            raise DownloadError(what, where=where, remedy="ask another endpoint")
        files = told_in(info) or self._tree(info, asked)
        texts = license_texts(files, lambda file: self._read(info, file, asked))
        return Listing(info.id, info.sha, files, _license(info, texts), info.library_name).locked(wanted, where)

    def locate(self, model: LockedModel, file: LockedFile) -> HttpFile:
        """The file's ``resolve`` address at the locked commit."""
        url = self._url(model.canonical_id, model.commit or model.revision, file.path)
        return HttpFile(url, self._headers(url), hub=True)

    def _model_info(self, wanted: ModelSpec, asked: Asked) -> ModelInfo:
        """``GET /api/models/{repo}/revision/{revision}``, with sizes and digests."""
        url = f"{self.name}/api/models/{quote(wanted.repo)}/revision/{quote(wanted.revision, safe='')}"
        with translated(asked):
            client = web(self._ca_bundle, self._timeout_s)
            response = client.get(url, params={"blobs": "true"}, headers=self._headers(url))
            hf_raise_for_status(response)
            info: ModelInfo = ModelInfo(**document(response, dict))  # type: ignore[no-untyped-call]  # it has no annotations
            return info

    def _tree(self, info: ModelInfo, asked: Asked) -> tuple[ListedFile, ...]:
        """``GET /api/models/{repo}/tree/{commit}``, page by page."""
        first = f"{self.name}/api/models/{quote(info.id)}/tree/{info.sha}"
        entries: list[dict[str, Any]] = []
        url: str | None = f"{first}?recursive=true"
        with translated(asked):
            while url is not None:
                response = web(self._ca_bundle, self._timeout_s).get(url, headers=self._headers(url))
                if response.status_code in _NO_SUCH_QUESTION:
                    what = "the server tells neither sizes nor digests of its files"
                    raise DownloadError(what, where=asked.where, remedy="ask another endpoint or source")
                hf_raise_for_status(response)
                entries += document(response, list)
                url = next_page(response, first)
            return listed_in(entries)

    def _read(self, info: ModelInfo, file: ListedFile, asked: Asked) -> bytes:
        """A short file of the repo, compared with its digest."""
        url = self._url(info.id, str(info.sha), file.path)
        with (
            translated(asked),
            web(self._ca_bundle, self._timeout_s).stream("GET", url, headers=self._headers(url)) as response,
        ):
            if response.is_error:
                raise of_answer(response, asked)
            content = _at_most(response, LARGEST_TEXT + 1)
        if not fits(content, file):
            raise page_instead(response) or TransientError(
                f"{file.path} came with another digest or size than its own listing says"
            )
        return content

    def _url(self, repo: str, revision: str, path: str) -> str:
        return f"{self.name}/{quote(repo)}/resolve/{quote(revision, safe='')}/{quote(path)}"

    def _headers(self, url: str) -> Mapping[str, str]:
        headers = build_hf_headers(token=False, library_name="bundler", library_version=__version__)
        return {**{key: str(value) for key, value in headers.items()}, **self._credentials.headers(url)}

    def _asked(self, where: str, repo: str, revision: str) -> Asked:
        return Asked(where, self.name, repo, revision, known=bool(self._credentials.authorization(self.name)))


def _at_most(response: httpx2.Response, size: int) -> bytes:
    content = bytearray()
    for chunk in response.iter_bytes():
        content += chunk
        if len(content) >= size:
            break
    return bytes(content)


def _is_commit(revision: str) -> bool:
    return len(revision) == _COMMIT_DIGITS and set(revision) <= set("0123456789abcdef")


def _license(info: ModelInfo, texts: list[LicenseText]) -> LockedLicense:
    stated = ("license", "license_name", "license_link")
    card = {key: info.card_data.get(key) for key in stated} if info.card_data else {}
    tagged = (tag.partition(":")[2] for tag in info.tags or () if tag.startswith("license:"))
    return license_of(card, texts, gated=bool(info.gated), tagged=next(tagged, None))
