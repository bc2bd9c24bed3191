"""A Hub-compatible server on loopback: the real client and its own kin can't tell it from the Hub.

    with Hub([HubRepo("org/model", directory)]) as hub:
        HfApi(endpoint=hub.endpoint).snapshot_download("org/model")

It answers the model API, ``resolve``, git (``<endpoint>/git/<repo>.git``, with LFS), and below ``/lfs/`` on a second
port (the "CDN") what lies in Git LFS, for addresses that are signed and expire. Faults are planned as data
(`testbed.hub_faults`), requests are recorded.
From a shell: ``PYTHONPATH=scripts python -m testbed.hub --repo NAME=DIR --port 0`` prints its address.
"""

from __future__ import annotations

import argparse
import hashlib
import hmac
import secrets
import signal
import ssl
import tempfile
import threading
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from urllib.parse import quote

from testbed.hub_faults import Fault, FaultPlan, Kind
from testbed.hub_git import write_repository
from testbed.hub_line import Line, SilentHost
from testbed.hub_repo import HubFile, HubRepo, Snapshot
from testbed.hub_seen import Record, Seen
from testbed.hub_server import Server

__all__ = ["Fault", "Hub", "HubRepo", "Kind", "Seen", "Snapshot"]


class Hub:
    """The server with its repositories, faults and record of requests. A context manager; ``close`` ends it at once.

    ``tokens`` are the valid access tokens, ``link_ttl_s`` how long a CDN address lives, ``page_size`` how many
    entries a page of a tree listing has, ``tls`` a context with a certificate when it is to speak HTTPS.
    ``bytes_per_s`` limits each connection's answers, ``all_bytes_per_s`` the sum of them. ``cdn_host`` is the CDN's
    address on loopback, ``cdn_base`` that of another server that has its files. A ``direct`` Hub has no CDN, as
    mirrors have none; one with ``basic_auth`` (user and password) stands behind it; ``cookie`` is set by its answers.
    """

    def __init__(
        self,
        repos: Iterable[HubRepo] = (),
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        cdn_port: int = 0,
        tokens: Iterable[str] = (),
        link_ttl_s: float = 3600.0,
        page_size: int = 1000,
        faults: Sequence[Fault] = (),
        tls: ssl.SSLContext | None = None,
        bytes_per_s: int | None = None,
        all_bytes_per_s: int | None = None,
        cdn_host: str | None = None,
        cdn_base: str | None = None,
        direct: bool = False,
        basic_auth: tuple[str, str] | None = None,
        cookie: str | None = None,
    ) -> None:
        from testbed.hub_answers import CdnHandler, HubHandler  # noqa: PLC0415 - the handlers' types need this class

        self.tokens, self.link_ttl_s, self.page_size = frozenset(tokens), link_ttl_s, page_size
        self.faults = FaultPlan(list(faults))
        self.stopping = threading.Event()
        self.bytes_per_s, self.line = bytes_per_s, Line(all_bytes_per_s)
        self.direct, self.basic_auth, self.cookie = direct, basic_auth, cookie
        self._record = Record()
        self._lock = threading.Lock()
        self._silent: SilentHost | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._secret = secrets.token_bytes(32)
        self._repos: dict[str, HubRepo] = {}
        self._refs: dict[tuple[str, str], Snapshot] = {}
        self._blobs: dict[tuple[str, str, str], HubFile] = {}
        for repo in repos:
            self.add(repo)
        places = ((host, port, HubHandler), (cdn_host or host, cdn_port, CdnHandler))
        self._servers = [Server(self, (name, number), handler, tls) for name, number, handler in places]
        self.endpoint, self.cdn = (server.address for server in self._servers)
        self.cdn_base = cdn_base or self.cdn

    def __enter__(self) -> Hub:
        for server in self._servers:
            threading.Thread(
                target=server.serve_forever, args=(0.05,), name=f"hub {server.server_address}", daemon=True
            ).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop listening, end what is stalled, and break the connections that are open."""
        self.stopping.set()
        self.faults.end()
        for server in self._servers:
            server.shutdown()
            server.server_close()
            server.break_connections()
        if self._silent:
            self._silent.close()
        if self._folder:
            self._folder.cleanup()

    # -- content

    def add(self, repo: HubRepo) -> None:
        """Serve one more repository."""
        self._repos[repo.repo_id] = repo
        for name, snapshot in repo.snapshots.items():
            self._remember(repo.repo_id, name, snapshot)

    def push(self, repo_id: str, directory: Path, branch: str = "main") -> str:
        """Move a branch to what ``directory`` holds now; former commits stay. Returns the new commit."""
        snapshot = Snapshot.of(directory)
        self._remember(repo_id, branch, snapshot)
        self.faults.strikes(Kind.MOVED)
        return snapshot.commit

    def forget(self, repo_id: str, commit: str) -> None:
        """Know a commit no more, as after a history was written anew and cleaned up."""
        self._refs = {key: held for key, held in self._refs.items() if key[0] != repo_id or held.commit != commit}

    def commit(self, repo_id: str, revision: str = "main") -> str:
        """The 40-hex commit of a branch. Raises KeyError for one that is not served."""
        return self._refs[repo_id, revision].commit

    def repo(self, repo_id: str) -> HubRepo | None:
        """The repository of that name."""
        return self._repos.get(repo_id)

    def renamed(self, repo_id: str) -> str | None:
        """Today's name of a repository that was once called ``repo_id``."""
        return next((repo.repo_id for repo in self._repos.values() if repo_id in repo.former_names), None)

    def snapshot(self, repo_id: str, revision: str) -> Snapshot | None:
        """The snapshot of a branch, a tag or a full commit."""
        return self._refs.get((repo_id, revision))

    def lfs_file(self, repo_id: str, sha256: str, path: str) -> HubFile | None:
        """The LFS file that a CDN address names."""
        return self._blobs.get((repo_id, sha256, path))

    def lfs_object(self, repo_id: str, sha256: str) -> HubFile | None:
        """The LFS file of that content, whatever its path."""
        return next(
            (file for (repo, found, _), file in self._blobs.items() if (repo, found) == (repo_id, sha256)), None
        )

    def git(self, repo_id: str) -> Path:
        """A bare git repository with all branches and commits of today."""
        with self._lock:
            self._folder = self._folder or tempfile.TemporaryDirectory(prefix="testbed-hub-git-")
            path = Path(self._folder.name) / f"{repo_id.replace('/', '--')}.git"
            write_repository(path, {name: snapshot for (repo, name), snapshot in self._refs.items() if repo == repo_id})
            return path

    def _remember(self, repo_id: str, branch: str, snapshot: Snapshot) -> None:
        self._refs[repo_id, branch] = self._refs[repo_id, snapshot.commit] = snapshot
        for file in snapshot.files.values():
            if file.sha256:
                self._blobs[repo_id, file.sha256, file.path] = file

    # -- signed addresses

    def signed(self, repo_id: str, file: HubFile) -> str:
        """An address on the CDN for an LFS file, valid for ``link_ttl_s``."""
        path = f"/lfs/{repo_id}/{file.sha256}/{quote(file.path)}"
        expires = f"{time.time() + self.link_ttl_s:.3f}"
        return f"{self.cdn_base}{path}?Expires={expires}&Signature={self._signature(path, expires)}"

    def signature_holds(self, path: str, expires: str, signature: str) -> bool:
        """Whether this server signed that (still encoded) path and the time has not come."""
        if not hmac.compare_digest(signature, self._signature(path, expires)):
            return False
        return float(expires) > time.time()

    def _signature(self, path: str, expires: str) -> str:
        return hmac.new(self._secret, f"{path}\n{expires}".encode(), hashlib.sha256).hexdigest()

    # -- faults

    def stall(self, fault: Fault) -> bool:
        """Let nothing come, as long as it lasts; whether there is anyone to go on then."""
        self.faults.stall(fault)
        return not self.stopping.is_set()

    @property
    def silent(self) -> SilentHost:
        """An address where nothing answers; its ``knocks`` are counted."""
        with self._lock:
            self._silent = self._silent or SilentHost()
            return self._silent

    def detour(self, kind: Kind, place: str, target: str) -> str:
        """Where a redirect leads that does not lead on; ``target`` is the path and query that were asked for."""
        if kind is Kind.NO_ANSWER:
            return f"http://{self.silent.address}{target}"
        if kind is Kind.NO_NAME:
            return f"http://cdn.invalid{target}"  # RFC 2606, 2: never resolves
        return f"{self.cdn if place == 'cdn' else self.endpoint}{target}"

    # -- record

    def record(self, seen: Seen) -> None:
        """Note a request; the handler goes on to fill in status and bytes."""
        self._record.add(seen)

    def requests(self, path: str = "", *, method: str | None = None, server: str | None = None) -> list[Seen]:
        """The requests so far whose path contains ``path``, the earliest first."""
        return self._record.found(path, method, server)

    def sent(self) -> int:
        """Bytes of all bodies so far."""
        return sum(seen.sent for seen in self.requests())

    def forget_requests(self) -> None:
        """Begin the record anew."""
        self._record.clear()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="testbed.hub", description="Serve model directories as the Hub does, on loopback."
    )
    parser.add_argument(
        "--repo", action="append", default=[], metavar="NAME=DIR", help="a repository and its directory"
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    parser.add_argument("--minilm", action="store_true", help="serve the real all-MiniLM-L6-v2 (see testbed.weights)")
    return parser.parse_args()


def main() -> None:
    """Serve until SIGINT or SIGTERM; the first line printed is the address for HF_ENDPOINT."""
    arguments = _arguments()
    repos = [HubRepo(name, Path(directory)) for name, _, directory in (item.partition("=") for item in arguments.repo)]
    if arguments.minilm:
        from testbed import weights  # noqa: PLC0415 - downloads are only for who asks

        repos.append(HubRepo(weights.REPO_ID, weights.minilm()))
    done = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: done.set())
    with Hub(repos, host=arguments.host, port=arguments.port) as hub:
        print(hub.endpoint, flush=True)
        done.wait()


if __name__ == "__main__":
    main()
