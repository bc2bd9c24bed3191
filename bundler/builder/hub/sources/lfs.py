"""Git LFS: where its objects lie on a disk, and where a server says that they are today.

The batch API: https://github.com/git-lfs/git-lfs/blob/main/docs/api/batch.md, and server-discovery.md beside it.
Its answer gives an address for each object, often of another server, signed and soon expired; it is asked anew for
each attempt. Credentials are those of `~/.netrc`, or of git's own helpers (gitcredentials(7)).
"""

from __future__ import annotations

import base64
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpx2

from bundler.builder.hub.retry import TransientError
from bundler.builder.hub.source import HttpFile
from bundler.builder.hub.sources.credentials import Credentials
from bundler.builder.hub.sources.document_failures import Asked, document, of_answer, translated
from bundler.builder.hub.sources.endpoints import origin_of
from bundler.builder.hub.sources.git import Git
from bundler.builder.hub.sources.git_tree import Pointer
from bundler.builder.hub.sources.web import web
from bundler.core.errors import DownloadError

_MEDIA_TYPE = "application/vnd.git-lfs+json"


def lfs_object(git_directory: Path, sha256: str) -> Path | None:
    """Where git-lfs keeps the object in a git directory, if it is there."""
    path = git_directory / "lfs" / "objects" / sha256[:2] / sha256[2:4] / sha256
    return path if path.is_file() else None


class LfsServer:
    """The LFS API that belongs to a git repository."""

    def __init__(self, git: Git, credentials: Credentials) -> None:
        self._git = git
        self._credentials = credentials
        self._asked_git: dict[str, str | None] = {}
        self._lock = threading.Lock()

    def locate(self, pointer: Pointer, commit: str, where: str) -> HttpFile:
        """The address of the object now, with the headers that the server wants there."""
        api = self._api(commit, where)
        answer = self._batch(api, pointer, where)
        with translated(Asked(where, api)):
            found = answer["objects"][0]
            if error := found.get("error"):
                raise _refused(int(error.get("code", 0)), str(error.get("message", "")), where)
            action = found["actions"]["download"]
            url, headers = str(action["href"]), {str(k): str(v) for k, v in (action.get("header") or {}).items()}
        own = self._authorization(api) if origin_of(url) == origin_of(api) and not found.get("authenticated") else None
        known = "authorization" in {name.lower() for name in headers}
        return HttpFile(url, headers if known or own is None else {**headers, "Authorization": own}, signed=True)

    def _batch(self, api: str, pointer: Pointer, where: str) -> dict[str, Any]:
        body = {
            "operation": "download",
            "transfers": ["basic"],
            "objects": [{"oid": pointer.sha256, "size": pointer.size}],
            "hash_algo": "sha256",
        }
        url = f"{api}/objects/batch"
        answer = self._post(url, body, self._authorization(api), where)
        if answer.status_code == 401 and self._ask_git(api):
            answer = self._post(url, body, self._authorization(api), where)
        if answer.is_error:
            raise _of_status(answer, Asked(where, api))
        with translated(Asked(where, api)):
            return document(answer, dict)

    def _post(self, url: str, body: object, authorization: str | None, where: str) -> httpx2.Response:
        headers = {"Accept": _MEDIA_TYPE, "Content-Type": _MEDIA_TYPE}
        if authorization:
            headers["Authorization"] = authorization
        with translated(Asked(where, url)):
            return web(self._git.ca_bundle, self._git.timeout_s).post(url, json=body, headers=headers)

    def _authorization(self, api: str) -> str | None:
        """What is known already; git's helpers are asked only once a server wants to know who asks."""
        return self._credentials.authorization(api) or self._asked_git.get(api)

    def _ask_git(self, api: str) -> bool:
        """Whether git's helpers know somebody for the server (git-credential(1))."""
        with self._lock:
            if api in self._asked_git or self._credentials.authorization(api):
                return self._asked_git.get(api) is not None
            parts, user = urlsplit(api), urlsplit(self._git.url or "").username
            about = {"protocol": parts.scheme, "host": parts.netloc, "path": parts.path.lstrip("/"), "username": user}
            given = "".join(f"{name}={value}\n" for name, value in about.items() if value) + "\n"
            try:
                told = self._git("credential", "fill", given=given.encode()).decode("utf-8", errors="replace")
            except DownloadError:
                told = ""  # nobody knows
            self._asked_git[api] = _basic(dict(line.split("=", 1) for line in told.splitlines() if "=" in line))
            return self._asked_git[api] is not None

    def _api(self, commit: str, where: str) -> str:
        """The repository's ``.lfsconfig`` may name a server of its own; else it stands below the repository."""
        told = ("config", "--blob", f"{commit}:.lfsconfig", "--get", "lfs.url")
        named = self._git(*told).decode().strip() if self._git.succeeds(*told) else ""
        url = named or str(self._git.url)
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise DownloadError(
                "files in LFS come by http and https only, not by ssh",
                where=where,
                remedy="give the https:// address; or clone it yourself with git-lfs, and give --from DIRECTORY",
            )
        path = parts.path.rstrip("/")
        if not named:
            path += "/info/lfs" if path.endswith(".git") else ".git/info/lfs"
        return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], path, "", ""))


def _basic(answer: Mapping[str, str]) -> str | None:
    name, password = answer.get("username"), answer.get("password")
    if not password:
        return None
    return "Basic " + base64.b64encode(f"{name or ''}:{password}".encode()).decode("ascii")


def _of_status(answer: httpx2.Response, asked: Asked) -> Exception:
    if answer.status_code in {401, 403}:
        what = f"the LFS server wants to know who asks (HTTP {answer.status_code})"
        remedy = "put a line for it into ~/.netrc, or give git a credential helper that knows it"
        return DownloadError(what, where=asked.where, remedy=remedy)
    if answer.status_code in {404, 501}:
        remedy = "give the address of a server with LFS; or clone it yourself with git-lfs, and give --from DIRECTORY"
        return DownloadError("the server has no LFS there", where=asked.where, remedy=remedy)
    return of_answer(answer, asked)


def _refused(code: int, message: str, where: str) -> Exception:
    if code in {408, 429} or code >= 500:
        return TransientError(f"the LFS server answers {code} for the file")
    told = f": {message[:200]}" if message else ""
    remedy = "ask who keeps the repository to push its LFS files: git lfs push --all"
    return DownloadError(f"the LFS server does not give the file ({code}{told})", where=where, remedy=remedy)
