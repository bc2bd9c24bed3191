"""How the Hub and its CDN answer: routes, headers, error codes, and the documents of the model API."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from testbed.hub_bytes import FileHandler
from testbed.hub_faults import Kind
from testbed.hub_git import GIT_ROUTE, LFS_ROUTE, lfs_batch, run_backend
from testbed.hub_http import RefusedError
from testbed.hub_repo import HubFile, HubRepo, Snapshot

_REPO = r"(?P<repo>[^/]+(?:/[^/]+)?)"
_ROUTES = {
    "resolve": re.compile(rf"/{_REPO}/resolve/(?P<revision>[^/]+)/(?P<path>.+)"),
    "tree": re.compile(rf"/api/models/{_REPO}/tree/(?P<revision>[^/]+)(?:/(?P<path>.+?))?/?"),
    "paths_info": re.compile(rf"/api/models/{_REPO}/paths-info/(?P<revision>[^/]+)"),
    "info": re.compile(rf"/api/models/{_REPO}/revision/(?P<revision>[^/]+)"),
    "info_main": re.compile(rf"/api/models/{_REPO}"),
}
#: What is told of a model card's front matter.
_CARD = frozenset({"license", "license_name", "license_link", "library_name", "pipeline_tag"})
_DATE = "2024-01-01T00:00:00.000Z"


class CdnHandler(FileHandler):
    """The CDN: LFS bytes for signed addresses."""

    place = "cdn"

    def answer(self, path: str, query: dict[str, list[str]]) -> None:
        """Answer ``/lfs/<repo>/<sha256>/<path>?Expires=…&Signature=…``."""
        if self.detour:
            self.send(302, b"", {"Location": self.detour})
            return
        match = re.fullmatch(rf"/lfs/{_REPO}/(?P<sha256>[0-9a-f]{{64}})/(?P<path>.+)", path)
        if match is None:
            raise RefusedError(404, "", "Not Found")
        expires, signature = (query.get(name, [""])[0] for name in ("Expires", "Signature"))
        if not self.hub.signature_holds(path, expires, signature):
            self.hub.faults.strikes(Kind.EXPIRED)
            raise RefusedError(403, "", "Request has expired")
        file = self.hub.lfs_file(unquote(match["repo"]), match["sha256"], unquote(match["path"]))
        if file is None:
            raise RefusedError(404, "", "Not Found")
        self.send_file(file, {"Content-Disposition": f'inline; filename="{file.source.name}"'})


class HubHandler(FileHandler):
    """The Hub: the model API, ``resolve``, and git with LFS."""

    def admit(self) -> None:
        """Basic auth, where the whole Hub stands behind it."""
        if self.hub.basic_auth not in (None, self.credentials()):
            self.hub.faults.strikes(Kind.NO_PASSWORD)
            raise RefusedError(401, "", "Authorization Required", {"WWW-Authenticate": 'Basic realm="mirror"'})

    def answer(self, path: str, query: dict[str, list[str]]) -> None:
        """Find the route, the repository and the snapshot, and answer."""
        if asked := LFS_ROUTE.fullmatch(path):
            self._lfs(self._git_repo(unquote(asked["repo"])))
            return
        if asked := GIT_ROUTE.fullmatch(path):
            self._git(self._git_repo(unquote(asked["repo"])), asked["rest"])
            return
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
        if self.detour and route != "resolve":
            self.send(302, b"", {"Location": self.detour})
        elif route == "resolve":
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
        found = self.credentials()
        if found is None or found == self.hub.basic_auth:
            return None
        token = found[1]
        if token not in self.hub.tokens:
            self.hub.faults.strikes(Kind.WRONG_TOKEN)
            raise RefusedError(401, "", "Invalid credentials in Authorization header")
        return token

    def _resolve(self, repo: HubRepo, snapshot: Snapshot, path: str) -> None:
        commit = {"X-Repo-Commit": snapshot.commit}
        self._require_access(repo, commit)
        file = snapshot.files.get(path)
        if file is None:
            raise RefusedError(404, "EntryNotFound", "Entry not found", commit)
        if not self.detour and (file.sha256 is None or self.hub.direct):
            self.send_file(file, commit)
            return
        etag = f'"{self.new_etag or file.etag}"'
        linked = {"X-Linked-Etag": etag, "X-Linked-Size": str(file.size), "ETag": etag, "Accept-Ranges": "bytes"}
        self.send(302, b"", {**commit, **linked, "Location": self.detour or self.hub.signed(repo.repo_id, file)})

    def _require_access(self, repo: HubRepo, headers: dict[str, str]) -> None:
        token = self._token()
        if repo.gated and token not in repo.readers:
            self.hub.faults.strikes(Kind.GATED)
            message = f"Access to model {repo.repo_id} is restricted."
            raise RefusedError(403 if token else 401, "GatedRepo", message, headers)

    def _git_repo(self, name: str) -> HubRepo:
        """As git asks: who is not known is asked for a password."""
        realm = {"WWW-Authenticate": 'Basic realm="hub"', "LFS-Authenticate": 'Basic realm="hub"'}
        try:
            repo = self._repo(name, "")
            if repo is not None:
                self._require_access(repo, {})
                return repo
        except RefusedError as refused:
            refused.headers.update(realm if refused.status == 401 else {})
            raise
        raise RefusedError(404, "RepoNotFound", "Repository not found")

    def _git(self, repo: HubRepo, rest: str) -> None:
        status, headers, body = run_backend(self.hub.git(repo.repo_id), rest, self)
        self.send(status, body, headers)

    def _lfs(self, repo: HubRepo) -> None:
        answer = lfs_batch(self.hub, repo.repo_id, self.form())
        self.send_json(answer, headers={"Content-Type": "application/vnd.git-lfs+json"})

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
        form = self.form()
        asked = form.get("paths", [])
        expand = str(form.get("expand", "")).lower().strip("[]'") == "true"
        entries = {entry["path"]: entry for entry in tree(snapshot, "", recursive=True, expand=expand)}
        self.send_json([entries[path] for path in asked if path in entries])


def model_info(repo: HubRepo, snapshot: Snapshot, *, blobs: bool) -> dict[str, Any]:
    """What ``GET /api/models/{repo}`` says."""
    card = {name: value for name, value in snapshot.card.items() if name in _CARD}
    licence, library = card.get("license"), card.get("library_name")
    return {
        "_id": snapshot.commit[:24],
        "id": repo.repo_id,
        "modelId": repo.repo_id,
        "author": repo.repo_id.rpartition("/")[0],
        "sha": snapshot.commit,
        "lastModified": _DATE,
        "createdAt": _DATE,
        "private": repo.private,
        "gated": "manual" if repo.gated is True else repo.gated,
        "disabled": False,
        "downloads": 0,
        "likes": 0,
        "tags": [*([library] if library else []), *([f"license:{licence}"] if licence else [])],
        "cardData": card,
        **({"library_name": library} if library else {}),
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
