"""How the Hub and its CDN answer: routes, headers, error codes, and the documents of the model API."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from testbed.hub_http import Handler, RefusedError
from testbed.hub_repo import HubFile, HubRepo, Snapshot

_REPO = r"(?P<repo>[^/]+(?:/[^/]+)?)"
_ROUTES = {
    "resolve": re.compile(rf"/{_REPO}/resolve/(?P<revision>[^/]+)/(?P<path>.+)"),
    "tree": re.compile(rf"/api/models/{_REPO}/tree/(?P<revision>[^/]+)(?:/(?P<path>.+))?"),
    "paths_info": re.compile(rf"/api/models/{_REPO}/paths-info/(?P<revision>[^/]+)"),
    "info": re.compile(rf"/api/models/{_REPO}/revision/(?P<revision>[^/]+)"),
    "info_main": re.compile(rf"/api/models/{_REPO}"),
}
_DATE = "2024-01-01T00:00:00.000Z"


class CdnHandler(Handler):
    """The CDN: LFS bytes for signed addresses."""

    place = "cdn"

    def answer(self, path: str, query: dict[str, list[str]]) -> None:
        """Answer ``/lfs/<repo>/<sha256>/<path>?Expires=…&Signature=…``."""
        match = re.fullmatch(rf"/lfs/{_REPO}/(?P<sha256>[0-9a-f]{{64}})/(?P<path>.+)", path)
        if match is None:
            raise RefusedError(404, "", "Not Found")
        expires, signature = (query.get(name, [""])[0] for name in ("Expires", "Signature"))
        if not self.hub.signature_holds(path, expires, signature):
            raise RefusedError(403, "", "Request has expired")
        file = self.hub.lfs_file(unquote(match["repo"]), match["sha256"], unquote(match["path"]))
        if file is None:
            raise RefusedError(404, "", "Not Found")
        self.send_file(file, {"Content-Disposition": f'inline; filename="{file.source.name}"'})


class HubHandler(Handler):
    """The Hub: the model API and ``resolve``."""

    def answer(self, path: str, query: dict[str, list[str]]) -> None:
        """Find the route, the repository and the snapshot, and answer."""
        route, match = next(((r, m) for r, p in _ROUTES.items() if (m := p.fullmatch(path))), ("", None))
        if match is None:
            raise RefusedError(404, "", "Not Found")
        found = {name: unquote(value) for name, value in match.groupdict().items() if value is not None}
        repo = self._repo(found["repo"], path)
        if repo is None:
            return
        revision = found.get("revision", "main")
        snapshot = self.hub.snapshot(repo.repo_id, revision)
        if snapshot is None:
            raise RefusedError(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        if route == "resolve":
            self._resolve(repo, snapshot, found["path"])
        elif route == "tree":
            self._tree(snapshot, found.get("path", ""), query, path)
        elif route == "paths_info":
            self._paths_info(snapshot)
        else:
            self.send_json(model_info(repo, snapshot, blobs="blobs" in query))

    def _repo(self, name: str, path: str) -> HubRepo | None:
        """The repository if this caller may know of it; None when a redirect to its new name was sent."""
        repo, token = self.hub.repo(name), self._token()
        if repo is None:
            new = self.hub.renamed(name)
            if new:
                query = urlsplit(self.path).query
                target = path.replace(quote(name), quote(new), 1) + (f"?{query}" if query else "")
                self.send(307, b"", {"Location": target})
                return None
        if repo is None or (repo.private and token not in repo.readers):
            raise RefusedError(404 if token else 401, "RepoNotFound", "Repository not found")
        return repo

    def _token(self) -> str | None:
        header = self.headers["Authorization"]
        if header is None:
            return None
        token = str(header).partition(" ")[2]
        if token not in self.hub.tokens:
            raise RefusedError(401, "", "Invalid credentials in Authorization header")
        return token

    def _resolve(self, repo: HubRepo, snapshot: Snapshot, path: str) -> None:
        token = self._token()
        commit = {"X-Repo-Commit": snapshot.commit}
        if repo.gated and token not in repo.readers:
            message = f"Access to model {repo.repo_id} is restricted."
            raise RefusedError(403 if token else 401, "GatedRepo", message, commit)
        file = snapshot.files.get(path)
        if file is None:
            raise RefusedError(404, "EntryNotFound", "Entry not found", commit)
        if file.sha256 is None:
            self.send_file(file, commit)
            return
        etag = f'"{self.new_etag or file.etag}"'
        linked = {"X-Linked-Etag": etag, "X-Linked-Size": str(file.size), "ETag": etag, "Accept-Ranges": "bytes"}
        self.send(302, b"", {**commit, **linked, "Location": self.hub.signed(repo.repo_id, file)})

    def _tree(self, snapshot: Snapshot, folder: str, query: dict[str, list[str]], path: str) -> None:
        if folder and folder not in snapshot.folders:
            raise RefusedError(404, "EntryNotFound", f"{folder} does not exist on this revision")
        recursive, expand = (query.get(name, ["false"])[0].lower() == "true" for name in ("recursive", "expand"))
        entries = list(tree(snapshot, folder, recursive=recursive, expand=expand))
        start = int(query.get("cursor", ["0"])[0])
        page, headers = entries[start : start + self.hub.page_size], {}
        if start + len(page) < len(entries):
            flags = f"recursive={str(recursive).lower()}&expand={str(expand).lower()}"
            target = f"{self.hub.endpoint}{path}?{flags}&cursor={start + len(page)}"
            headers["Link"] = f'<{target}>; rel="next"'
        self.send_json(page, headers=headers)

    def _paths_info(self, snapshot: Snapshot) -> None:
        asked = self.form.get("paths", [])
        expand = str(self.form.get("expand", "")).lower().strip("[]'") == "true"
        entries = {entry["path"]: entry for entry in tree(snapshot, "", recursive=True, expand=expand)}
        self.send_json([entries[path] for path in asked if path in entries])


def model_info(repo: HubRepo, snapshot: Snapshot, *, blobs: bool) -> dict[str, Any]:
    """What ``GET /api/models/{repo}`` says."""
    licence = snapshot.licence
    return {
        "_id": snapshot.commit[:24],
        "id": repo.repo_id,
        "modelId": repo.repo_id,
        "author": repo.repo_id.rpartition("/")[0],
        "sha": snapshot.commit,
        "lastModified": _DATE,
        "createdAt": _DATE,
        "private": repo.private,
        "gated": "manual" if repo.gated else False,
        "disabled": False,
        "downloads": 0,
        "likes": 0,
        "tags": [f"license:{licence}"] if licence else [],
        "cardData": {"license": licence} if licence else {},
        "siblings": [_sibling(file, blobs) for _, file in sorted(snapshot.files.items())],
    }


def tree(snapshot: Snapshot, folder: str, *, recursive: bool, expand: bool) -> Iterator[dict[str, Any]]:
    """The entries of a folder as ``GET …/tree/{revision}`` lists them, sorted by path."""
    prefix = f"{folder}/" if folder else ""
    for path in sorted({*snapshot.files, *snapshot.folders} - {""}):
        if not path.startswith(prefix) or (not recursive and "/" in path[len(prefix) :]):
            continue
        file = snapshot.files.get(path)
        entry = (
            _file_entry(file) if file else {"type": "directory", "oid": snapshot.folders[path], "size": 0, "path": path}
        )
        if expand:
            entry["lastCommit"] = {"id": snapshot.commit, "title": "content", "date": _DATE}
        yield entry


def _sibling(file: HubFile, blobs: bool) -> dict[str, Any]:
    if not blobs:
        return {"rfilename": file.path}
    lfs = {"lfs": {"sha256": file.sha256, "size": file.size, "pointerSize": file.pointer_size}} if file.sha256 else {}
    return {"rfilename": file.path, "blobId": file.blob_id, "size": file.size, **lfs}


def _file_entry(file: HubFile) -> dict[str, Any]:
    entry: dict[str, Any] = {"type": "file", "oid": file.blob_id, "size": file.size, "path": file.path}
    if file.sha256:
        entry["lfs"] = {"oid": file.sha256, "size": file.size, "pointerSize": file.pointer_size}
    return entry
