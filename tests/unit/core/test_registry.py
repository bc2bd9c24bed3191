"""The registry client against a server on loopback that answers as the specifications say, and as they do not."""

from __future__ import annotations

import base64
import json
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from bundler.core.digest import Digest
from bundler.core.errors import EngineError, PreconditionError
from bundler.core.oci import MANIFEST, Descriptor, canonical_json
from bundler.core.registry import MAX_MANIFEST_SIZE, Credentials, Registry

BLOB = b"layer" * 100_000
BASIC = "Basic " + base64.b64encode(b"user:secret").decode()


@dataclass
class Fake:
    """What the server does, and what it was asked."""

    address: str = ""
    manifest: bytes = canonical_json({"schemaVersion": 2, "mediaType": MANIFEST})
    blob: bytes = BLOB
    stated_digest: str = ""
    media_type: str = MANIFEST
    challenge: str = ""
    realm: str = ""
    sent_length: int = len(BLOB)
    seen: list[tuple[str, str, str]] = field(default_factory=list)
    server: ThreadingHTTPServer = field(init=False)


@pytest.fixture
def fake() -> Iterator[Fake]:
    state = Fake()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            state.seen.append(("POST", self.path, form["refresh_token"][0]))
            self._send(json.dumps({"access_token": "from-refresh"}).encode(), "application/json")

        def do_GET(self) -> None:
            given = self.headers.get("Authorization", "")
            state.seen.append(("GET", self.path, given))
            if self.path.startswith("/token"):
                ok = given == BASIC
                self._send(json.dumps({"token": "t"} if ok else {}).encode(), "application/json", 200 if ok else 401)
            elif state.challenge and given not in ("Bearer t", "Bearer from-refresh", *_basic(state)):
                self._send(b"{}", "application/json", 401, {"WWW-Authenticate": state.challenge})
            elif "/manifests/" in self.path:
                extra = {"Docker-Content-Digest": state.stated_digest} if state.stated_digest else {}
                self._send(state.manifest, state.media_type, 200, extra)
            else:
                self._send(state.blob, "application/octet-stream", 200, length=state.sent_length)

        def _send(
            self,
            content: bytes,
            kind: str,
            status: int = 200,
            extra: dict[str, str] | None = None,
            length: int | None = None,
        ) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content) if length is None else length))
            for name, value in (extra or {}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *arguments: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    state.server = server
    state.address = f"127.0.0.1:{server.server_port}"
    state.realm = f"http://{state.address}/token"
    yield state
    server.shutdown()
    server.server_close()


def _basic(state: Fake) -> tuple[str, ...]:
    return (BASIC,) if state.challenge.startswith("Basic") else ()


@pytest.fixture
def opened(fake: Fake) -> Iterator[Callable[..., Registry]]:
    made: list[Registry] = []

    def make(credentials: Credentials | None = None) -> Registry:
        made.append(Registry(fake.address, credentials=credentials, plain_http=True))
        return made[-1]

    yield make
    for each in made:
        each.__exit__(None, None, None)


Opened = Callable[..., Registry]


def test_a_manifest_by_tag_and_by_digest(fake: Fake, opened: Opened) -> None:
    digest = Digest.of(fake.manifest)
    for name in ("1.0", str(digest)):
        found = opened().manifest("team/app", name)
        assert (found.content, found.digest, found.media_type) == (fake.manifest, digest, MANIFEST)


def test_a_manifest_of_another_digest_is_refused(fake: Fake, opened: Opened) -> None:
    with pytest.raises(EngineError, match="instead of"):
        opened().manifest("team/app", str(Digest.of(b"other")))
    fake.stated_digest = str(Digest.of(b"other"))
    with pytest.raises(EngineError, match="instead of"):
        opened().manifest("team/app", "1.0")


def test_manifests_that_are_not_read(fake: Fake, opened: Opened) -> None:
    fake.media_type = "application/vnd.docker.distribution.manifest.v1+prettyjws"
    with pytest.raises(EngineError, match="manifest of the type"):
        opened().manifest("team/app", "1.0")
    fake.media_type, fake.manifest = MANIFEST, b" " * (MAX_MANIFEST_SIZE + 1)
    with pytest.raises(EngineError, match="more than"):
        opened().manifest("team/app", "1.0")


def test_a_blob_is_checked_while_it_is_read(fake: Fake, opened: Opened) -> None:
    blob = Descriptor("x", Digest.of(BLOB), len(BLOB))
    with opened().open_blob("team/app", blob) as stream:
        assert stream.read() == BLOB
    fake.blob = BLOB[:-1] + b"X"
    with pytest.raises(EngineError, match="another digest"), opened().open_blob("team/app", blob) as stream:
        while stream.read(1 << 16):
            pass
    fake.blob, fake.sent_length = BLOB[:1000], len(BLOB)
    with pytest.raises(EngineError), opened().open_blob("team/app", blob) as stream:
        while stream.read(1 << 16):
            pass


def test_a_token_is_fetched_once_a_repository(fake: Fake, opened: Opened) -> None:
    fake.challenge = f'Bearer realm="{fake.realm}",service="registry",scope="repository:team/app:pull"'
    registry = opened(Credentials("user", "secret"))
    registry.manifest("team/app", "1.0")
    registry.manifest("team/app", "1.0")
    asked = [path for _, path, _ in fake.seen if path.startswith("/token")]
    assert [parse_qs(urlsplit(path).query)["scope"] for path in asked] == [["repository:team/app:pull"]]


def test_an_identity_token_is_exchanged(fake: Fake, opened: Opened) -> None:
    fake.challenge = f'Bearer realm="{fake.realm}",service="registry"'
    opened(Credentials("", "identity")).manifest("team/app", "1.0")
    assert ("POST", "/token", "identity") in fake.seen


def test_basic_authentication(fake: Fake, opened: Opened) -> None:
    fake.challenge = 'Basic realm="registry"'
    opened(Credentials("user", "secret")).manifest("team/app", "1.0")
    with pytest.raises(EngineError) as caught:
        opened().manifest("team/app", "1.0")
    assert caught.value.remedy == f"log in: docker login {fake.address}"


def test_a_wrong_password_is_said(fake: Fake, opened: Opened) -> None:
    fake.challenge = f'Bearer realm="{fake.realm}",service="registry"'
    with pytest.raises(EngineError, match="refuses"):
        opened(Credentials("user", "wrong")).manifest("team/app", "1.0")


def test_a_companys_authority_is_trusted_beside_the_others(
    fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["-addext", "subjectAltName=IP:127.0.0.1", "-subj", "/CN=company"]
    argv = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", *names]
    argv += ["-keyout", str(tmp_path / "key"), "-out", str(tmp_path / "ca.pem"), "-days", "2"]
    subprocess.run(argv, check=True, capture_output=True)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "ca.pem", tmp_path / "key")
    fake.server.socket = context.wrap_socket(fake.server.socket, server_side=True)
    with Registry(fake.address, ca_bundle=str(tmp_path / "ca.pem")) as registry:
        assert registry.manifest("team/app", "1.0").content == fake.manifest
    with Registry(fake.address) as registry, pytest.raises(EngineError):
        registry.manifest("team/app", "1.0")  # not trusted, and not spoken to in clear either
    with pytest.raises(PreconditionError, match="CA bundle"):
        Registry(fake.address, ca_bundle=str(tmp_path / "missing"))


def test_a_registry_that_is_not_there() -> None:
    with Registry("127.0.0.1:1") as registry, pytest.raises(EngineError, match="does not answer"):
        registry.manifest("team/app", "1.0")
