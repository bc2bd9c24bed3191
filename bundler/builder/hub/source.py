"""Where model bytes come from: one protocol, and the Hub (or a mirror that speaks its protocol) behind it.

Everything that huggingface_hub raises is translated here and nowhere else: into TransientError where another attempt
may help, into DownloadError with a sentence that says what to do where it cannot. Endpoints and answers:
https://huggingface.co/docs/hub/api, and ``docs/hub-facts.md``.
"""

from __future__ import annotations

import logging
import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

import httpx2
from huggingface_hub import HfApi, constants, set_client_factory
from huggingface_hub import errors as hub_errors
from huggingface_hub.file_download import hf_hub_url, http_get
from huggingface_hub.hf_api import ModelInfo, RepoSibling
from huggingface_hub.utils import build_hf_headers, disable_progress_bars, filter_repo_objects
from huggingface_hub.utils import logging as hub_logging

from bundler.builder.hub.retry import TransientError
from bundler.builder.lock import LockedFile, LockedModel
from bundler.builder.recipe import ModelSpec
from bundler.core.digest import CHUNK_BYTES
from bundler.core.errors import DownloadError

HUB = "https://huggingface.co"
_TRANSIENT_STATUS = frozenset({408, 425, 429})


@dataclass(frozen=True)
class Address:
    """Where a file can be read by HTTP, and the headers that the server wants."""

    url: str
    headers: dict[str, str]


class Source(Protocol):
    """A place that has models."""

    name: str

    def resolve(self, wanted: ModelSpec) -> LockedModel:
        """What the wanted revision is now: commit, files, sizes and digests, all read from the source."""

    def address(self, model: LockedModel, file: LockedFile) -> Address:
        """Where ``file`` of the locked commit can be read."""

    def read(self, model: LockedModel, file: LockedFile, sink: BinaryIO) -> None:
        """Write the whole file into ``sink``, from its current position on.

        Raises TransientError where another attempt may help, DownloadError where it cannot.
        """


class HubSource:
    """The Hub, or a mirror of it, through huggingface_hub."""

    def __init__(self, endpoint: str | None = None, token: str | None = None, ca_bundle: Path | None = None) -> None:
        self.name = (endpoint or constants.ENDPOINT).rstrip("/")
        # A token belongs to the Hub it was made for, and is not needed there (None: sent if there is one); a mirror
        # gets one only if the caller gives it.
        self._token: str | bool | None = token or (None if self.name == HUB else False)
        self._api = HfApi(endpoint=self.name, token=self._token)
        disable_progress_bars()
        # The library hands on 10 MB at a time: on a slow line minutes without a sign of life, and as much is lost at a cut.
        constants.DOWNLOAD_CHUNK_SIZE = CHUNK_BYTES
        hub_logging.set_verbosity(logging.ERROR)
        if ca_bundle is not None:
            context = ssl.create_default_context()
            context.load_verify_locations(cafile=os.fspath(ca_bundle))  # beside the usual ones, as everywhere else
            set_client_factory(lambda: httpx2.Client(verify=context, follow_redirects=True, timeout=None))

    def resolve(self, wanted: ModelSpec) -> LockedModel:
        """Ask the Hub what the revision is; names, sizes and digests come from its answer alone."""
        where = f"model {wanted.name}, {wanted.repo}@{wanted.revision} at {self.name}"
        with _translated(where):
            info = self._api.model_info(wanted.repo, revision=wanted.revision, files_metadata=True)
        if not info.sha:
            raise DownloadError("the answer names no commit", where=where, remedy="ask another endpoint")
        files = tuple(sorted(_wanted_files(info, wanted, where), key=lambda file: file.path))
        if not files:
            raise DownloadError(
                "no file of the repo matches include and exclude", where=where, remedy="widen the model's patterns"
            )
        return LockedModel(
            name=wanted.name,
            repo_id=wanted.repo,
            canonical_id=info.id,
            revision=wanted.revision,
            commit=info.sha,
            include=wanted.include,
            exclude=wanted.exclude,
            license=_license(info),
            files=files,
        )

    def address(self, model: LockedModel, file: LockedFile) -> Address:
        """The file's ``resolve`` address at the locked commit."""
        url = hf_hub_url(model.canonical_id, file.path, revision=model.commit, endpoint=self.name)
        return Address(url, {key: str(value) for key, value in build_hf_headers(token=self._token).items()})

    def read(self, model: LockedModel, file: LockedFile, sink: BinaryIO) -> None:
        """One attempt at the whole file by plain HTTP."""
        where = f"model {model.name}, file {file.path} at {self.name}"
        if file.size > constants.MAX_HTTP_DOWNLOAD_SIZE:
            raise DownloadError(
                f"{file.size:,} bytes: the Hub's client reads no file of that size over one connection",
                where=where,
                remedy="take a revision whose weights are split into smaller files",
            )
        address = self.address(model, file)
        with _translated(where):
            http_get(address.url, sink, headers=address.headers, expected_size=file.size, displayed_filename=file.path)


def _wanted_files(info: ModelInfo, wanted: ModelSpec, where: str) -> Iterator[LockedFile]:
    siblings = {sibling.rfilename: sibling for sibling in info.siblings or ()}
    include, exclude = list(wanted.include) or None, list(wanted.exclude) or None
    for path in filter_repo_objects(siblings, allow_patterns=include, ignore_patterns=exclude):
        yield _locked_file(siblings[path], where)


def _locked_file(sibling: RepoSibling, where: str) -> LockedFile:
    sha256 = sibling.lfs.sha256 if sibling.lfs else None
    if sibling.size is None or (sha256 is None and sibling.blob_id is None):
        raise DownloadError(
            f"the answer gives no size or digest of {sibling.rfilename}", where=where, remedy="ask another endpoint"
        )
    # For LFS files the git id is that of the pointer, not of the content.
    git_sha1 = None if sha256 else sibling.blob_id
    return LockedFile(path=sibling.rfilename, size=sibling.size, sha256=sha256, git_sha1=git_sha1)


def _license(info: ModelInfo) -> str | None:
    stated = info.card_data.get("license") if info.card_data else None
    tagged = (tag.partition(":")[2] for tag in info.tags or () if tag.startswith("license:"))
    return str(stated) if stated else next(tagged, None)


@contextmanager
def _translated(where: str) -> Iterator[None]:
    try:
        yield
    except hub_errors.GatedRepoError as error:
        raise DownloadError(
            "the repo is gated", where=where, remedy="accept its terms on its page, then give a token by HF_TOKEN"
        ) from error
    except hub_errors.RepositoryNotFoundError as error:
        raise DownloadError(
            "there is no such repo, or the token may not see it", where=where, remedy="check the spelling and HF_TOKEN"
        ) from error
    except hub_errors.RevisionNotFoundError as error:
        raise DownloadError(
            "the repo has no such revision", where=where, remedy="name a branch, a tag or a commit that it has"
        ) from error
    except hub_errors.EntryNotFoundError as error:
        raise DownloadError(
            "the locked file is not there",
            where=where,
            remedy="remove the model's entry from recipe.lock and build again",
        ) from error
    except hub_errors.HfHubHTTPError as error:
        raise _of_status(error, where) from error
    except (httpx2.UnsupportedProtocol, httpx2.InvalidURL, hub_errors.HFValidationError) as error:
        raise DownloadError(
            f"not an address or repo id: {error}", where=where, remedy="check --endpoint and the recipe"
        ) from error
    except httpx2.TransportError as error:
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            raise DownloadError(
                f"the server's certificate is not trusted: {error}",
                where=where,
                remedy="give your authority by --ca-bundle FILE",
            ) from error
        raise TransientError(f"{type(error).__name__}: {error or 'no answer'}") from error
    except (OSError, ValueError) as error:
        # http_get's own words for a body of the wrong length; a full disk passes through.
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise TransientError(" ".join(str(error).split())) from error


def _of_status(error: hub_errors.HfHubHTTPError, where: str) -> Exception:
    status = error.response.status_code if error.response is not None else 0
    if status in _TRANSIENT_STATUS or status >= 500:
        after = error.response.headers.get("Retry-After", "") if error.response is not None else ""
        return TransientError(f"HTTP {status}", float(after) if after.isdigit() else None)
    if status in {401, 403}:
        return DownloadError(
            f"HTTP {status}: not allowed", where=where, remedy="give a token that may read it by HF_TOKEN"
        )
    return DownloadError(f"HTTP {status}", where=where, remedy="check --endpoint, or ask another one")
