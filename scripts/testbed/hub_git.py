"""The Hub as a git server: the real ``git http-backend`` over repositories with the Hub's own commits, and LFS.

What lies in LFS is a pointer in git; its bytes come from the CDN, for signed addresses that the batch API gives
(github.com/git-lfs/git-lfs, docs/api/batch.md).
"""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from testbed import TestbedError
from testbed.hub_repo import Snapshot, lfs_pointer

if TYPE_CHECKING:
    from testbed.hub import Hub
    from testbed.hub_http import Handler

_REPO = r"/(?:git/)?(?P<repo>[^/]+/[^/]+?)(?:\.git)?"
GIT_ROUTE = re.compile(rf"{_REPO}(?P<rest>/(?:info/refs|git-upload-pack|HEAD|objects/.+))")
LFS_ROUTE = re.compile(rf"{_REPO}(?P<rest>/info/lfs/objects/batch)")
_WHO = b"testbed <testbed@localhost> 0 +0000"


def write_repository(folder: Path, refs: Mapping[str, Snapshot]) -> None:
    """Make ``folder`` a bare repository with these branches and commits; what it held before stays reachable."""
    if not folder.exists():
        _git("init", "--quiet", "--bare", "--initial-branch=main", str(folder))
        for key in ("uploadpack.allowAnySHA1InWant", "uploadpack.allowFilter", "http.uploadpack"):
            _git("-C", str(folder), "config", key, "true")
    _git("-C", str(folder), "fast-import", "--quiet", "--force", "--date-format=raw", stdin=b"".join(_stream(refs)))


def _stream(refs: Mapping[str, Snapshot]) -> Iterator[bytes]:
    """What git-fast-import(1) reads: each commit has the content alone and no parent, so its id is the Hub's."""
    for name, snapshot in refs.items():
        ref = f"refs/kept/{name}" if name == snapshot.commit else name if name.startswith("refs/") else None
        yield f"commit {ref or f'refs/heads/{name}'}\n".encode()
        yield b"author %s\ncommitter %s\ndata 8\ncontent\n\ndeleteall\n" % (_WHO, _WHO)
        for path, file in snapshot.files.items():
            content = lfs_pointer(file.sha256, file.size) if file.sha256 else file.source.read_bytes()
            quoted = path.replace("\\", "\\\\").replace('"', '\\"')
            yield f'M 100644 inline "{quoted}"\ndata {len(content)}\n'.encode() + content + b"\n"


def run_backend(repository: Path, rest: str, handler: Handler) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of ``git http-backend``, as CGI (RFC 3875) has them."""
    headers = handler.headers
    environment = {
        **os.environ,
        "GIT_PROJECT_ROOT": str(repository.parent),
        "GIT_HTTP_EXPORT_ALL": "1",
        "PATH_INFO": f"/{repository.name}{rest}",
        "REQUEST_METHOD": handler.command,
        "QUERY_STRING": handler.seen.query,
        "CONTENT_TYPE": headers["Content-Type"] or "",
        "CONTENT_LENGTH": str(len(handler.body)),
        "HTTP_CONTENT_ENCODING": headers["Content-Encoding"] or "",
        "GIT_PROTOCOL": headers["Git-Protocol"] or "",
        "REMOTE_ADDR": "127.0.0.1",
    }
    done = subprocess.run(
        ["git", "http-backend"], input=handler.body, env=environment, capture_output=True, check=False
    )
    head, _, body = done.stdout.partition(b"\r\n\r\n")
    fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if ": " in line)
    return int(fields.pop("Status", "200").split()[0]), fields, body


def lfs_batch(hub: Hub, repo_id: str, asked: Mapping[str, Any]) -> dict[str, Any]:
    """The answer of the batch API to a ``download`` of objects by their sha256."""
    expires = datetime.fromtimestamp(time.time() + hub.link_ttl_s, timezone.utc).isoformat()
    objects = []
    for wanted in asked.get("objects", []):
        told: dict[str, Any] = {"oid": wanted["oid"], "size": wanted["size"]}
        file = hub.lfs_object(repo_id, wanted["oid"])
        if file is None or asked.get("operation") != "download":
            told["error"] = {"code": 404, "message": "Object does not exist"}
        else:
            download = {"href": hub.signed(repo_id, file), "expires_at": expires}
            told.update(authenticated=True, actions={"download": download})
        objects.append(told)
    return {"transfer": "basic", "hash_algo": "sha256", "objects": objects}


def _git(*arguments: str, stdin: bytes = b"") -> None:
    done = subprocess.run(["git", *arguments], input=stdin, capture_output=True, check=False)
    if done.returncode:
        raise TestbedError(f"git {' '.join(arguments)}: {done.stderr.decode(errors='replace').strip()}")
