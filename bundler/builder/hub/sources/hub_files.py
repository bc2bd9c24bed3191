"""The files of a commit as the Hub's documents tell them: in the model's data, or in the listing of its tree.

The data of a model holds sizes and digests where it is asked for them (``?blobs=true``). Mirrors exist that forget the
question and answer with names alone (olah 0.5); their listing of the tree has the rest.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import httpx2
from huggingface_hub.hf_api import ModelInfo

from bundler.builder.hub.sources.endpoints import origin_of
from bundler.builder.hub.sources.listing import ListedFile


def told_in(info: ModelInfo) -> tuple[ListedFile, ...] | None:
    """The files in a model's data, or None where a size or digest lacks."""
    found = []
    for sibling in info.siblings or ():
        sha256 = sibling.lfs.sha256 if sibling.lfs else None
        if sibling.size is None or (sha256 is None and sibling.blob_id is None):
            return None
        # For LFS files the git id is that of the pointer, not of the content.
        found.append(ListedFile(sibling.rfilename, sibling.size, sha256, None if sha256 else sibling.blob_id))
    return tuple(found)


def listed_in(entries: Iterable[dict[str, Any]]) -> tuple[ListedFile, ...]:
    """The files among the entries of a tree; raises KeyError, TypeError or ValueError for what is none."""
    found = []
    for entry in entries:
        if entry["type"] == "file":
            lfs = entry.get("lfs")
            sha256, git_sha1 = (str(lfs["oid"]).removeprefix("sha256:"), None) if lfs else (None, str(entry["oid"]))
            found.append(ListedFile(str(entry["path"]), int(entry["size"]), sha256, git_sha1))
    return tuple(found)


def next_page(response: httpx2.Response, asked: str) -> str | None:
    """The address of the next page (RFC 8288), or None; one at another server is not the Hub's (ValueError)."""
    url = response.links.get("next", {}).get("url")
    if url is not None and origin_of(url) != origin_of(asked):
        raise ValueError("the next page of the listing is at another server")
    return url
