"""Plain addresses: the recipe's digests, the servers' sizes; real servers that answer in their own ways."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from bundler.builder.hub.retry import TransientError
from bundler.builder.hub.sources.credentials import Credentials
from bundler.builder.hub.sources.url_source import UrlSource
from bundler.builder.recipe_models import ModelSpec, UrlFile
from bundler.core.errors import DownloadError
from tests.support.locked import locked_file, locked_model

CONTENT = b"weights " * 100
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""

    def _answer(self, status: int, headers: dict[str, Any], body: bytes = b"") -> None:
        self.send_response(status)
        for name, value in {"Content-Length": len(body), **headers}.items():
            if value is not None:
                self.send_header(name, str(value))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def do_HEAD(self) -> None:
        self._by_path()

    def do_GET(self) -> None:
        self._by_path()

    def _by_path(self) -> None:
        self.server.seen.append((self.command, self.path, dict(self.headers)))  # type: ignore[attr-defined]
        head = self.command == "HEAD"
        if self.path == "/plain":
            self._answer(200, {}, CONTENT)
        elif self.path == "/no-head" and not head:
            self._answer(206, {"Content-Range": f"bytes 0-0/{len(CONTENT)}"}, CONTENT[:1])
        elif self.path == "/no-head":
            self._answer(405, {})
        elif self.path == "/busy":
            self._answer(503, {"Retry-After": 5})
        elif self.path == "/silent":
            self._answer(200, {"Content-Length": None, "Connection": "close"})
        elif self.path == "/private" and "Authorization" not in self.headers:
            self._answer(401, {})
        elif self.path == "/private":
            self._answer(200, {}, CONTENT)
        else:
            self._answer(404, {})


@contextmanager
def serving() -> Iterator[tuple[str, list[Any]]]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.seen = []  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", server.seen  # type: ignore[attr-defined]
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def place() -> Iterator[tuple[str, list[Any]]]:
    with serving() as found:
        yield found


def wanted(**more: object) -> ModelSpec:
    return ModelSpec.model_validate({"name": "tiny", "repo": "acme/tiny", "path": "/m/tiny", **more})


def source(base: str, *names: str, known: Credentials | None = None) -> UrlSource:
    files = [UrlFile(path=f"{name}.safetensors", url=f"{base}/{name}", sha256=SHA256) for name in names]
    return UrlSource(files, known or Credentials(), timeout_s=20)


def test_sizes_come_from_the_servers_and_digests_from_the_recipe(place: tuple[str, list[Any]]) -> None:
    model = source(place[0], "plain", "no-head").resolve(wanted())
    assert [(file.path, file.size, file.sha256) for file in model.files] == [
        ("no-head.safetensors", len(CONTENT), SHA256),
        ("plain.safetensors", len(CONTENT), SHA256),
    ]
    assert model.commit is None
    assert model.license.id is None
    assert model.has_safetensors


def test_what_is_left_out_is_not_asked_for(place: tuple[str, list[Any]]) -> None:
    model = source(place[0], "plain", "gone").resolve(wanted(exclude=("gone*",)))
    assert [file.path for file in model.files] == ["plain.safetensors"]
    assert [path for _, path, _ in place[1]] == ["/plain"]


@pytest.mark.parametrize(
    ("name", "told"), [("gone", "nothing at its address"), ("silent", "how large"), ("private", "who asks")]
)
def test_what_will_not_be_had(place: tuple[str, list[Any]], name: str, told: str) -> None:
    with pytest.raises(DownloadError, match=told) as caught:
        source(place[0], name).resolve(wanted())
    assert f"{name}.safetensors" in caught.value.where


def test_a_busy_server(place: tuple[str, list[Any]]) -> None:
    with pytest.raises(TransientError) as caught:
        source(place[0], "busy").resolve(wanted())
    assert caught.value.retry_after_s == 5


def test_a_login_for_that_server(place: tuple[str, list[Any]]) -> None:
    known = Credentials({place[0]: "Basic x"})
    shelf = source(place[0], "private", known=known)
    model = shelf.resolve(wanted())
    found = shelf.locate(model, model.files[0])
    assert found.headers["Authorization"] == "Basic x"
    assert not found.hub
    assert "Basic x" not in repr(found)


def change(**changes: Any) -> Callable[[str], Any]:
    return lambda path: locked_file(path, **{"size": len(CONTENT), "sha256": SHA256, "git_sha1": None, **changes})


@pytest.mark.parametrize(
    ("file", "told"),
    [
        (change(sha256="0" * 64)("plain.safetensors"), "not that of the lock"),
        (change(sha256=None, git_sha1="b" * 40)("plain.safetensors"), "no sha256"),
        (change()("other.safetensors"), "no address"),
    ],
)
def test_only_the_locked_file_is_located(file: Any, told: str) -> None:
    with pytest.raises(DownloadError, match=told):
        source("http://a.example", "plain").locate(locked_model("tiny"), file)


def test_a_path_that_leads_out_is_refused(place: tuple[str, list[Any]]) -> None:
    # A recipe refuses it before.
    files = [UrlFile.model_construct(path="a//b", url=f"{place[0]}/plain", sha256=SHA256)]
    with pytest.raises(DownloadError, match="cannot be a model"):
        UrlSource(files, Credentials(), timeout_s=20).resolve(wanted())


def test_the_name_holds_hosts_alone() -> None:
    assert source("https://a.example/sig?x", "plain").name == "addresses at a.example"
