"""Whatever stands where an engine should be, a person reads three lines that say what to do."""

from __future__ import annotations

import contextlib
import hashlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bundler.core import docker_api
from bundler.core.docker_api import EngineClient, EngineRefusedError, complaint, connect
from bundler.core.errors import EngineError, PreconditionError

HTML = b"<html>It works!</html>"


def http_answer(body: bytes, status: str = "200 OK", length: int | None = None) -> bytes:
    size = len(body) if length is None else length
    return f"HTTP/1.1 {status}\r\nContent-Length: {size}\r\nConnection: close\r\n\r\n".encode() + body


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[[bytes], str]]:
    """``serve(bytes)``: a Unix socket on which every caller gets these bytes; gives its address."""
    with contextlib.ExitStack() as stack:

        def start(content: bytes) -> str:
            path = tmp_path / "s.sock"
            listener = stack.enter_context(socket.socket(socket.AF_UNIX))
            listener.bind(str(path))
            listener.listen()
            threading.Thread(target=_answer_all, args=(listener, content), daemon=True).start()
            stack.callback(listener.shutdown, socket.SHUT_RDWR)
            return f"unix://{path}"

        yield start


def _answer_all(listener: socket.socket, content: bytes) -> None:
    with contextlib.suppress(OSError):
        while True:
            with listener.accept()[0] as caller:
                caller.recv(65536)
                caller.sendall(content)


def refusal(address: str) -> EngineError:
    with pytest.raises(EngineError) as raised:
        connect(address)
    assert raised.value.exit_code == 8
    assert raised.value.where == address
    assert len(str(raised.value).splitlines()) == 3
    return raised.value


@pytest.mark.parametrize(
    "content",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        http_answer(HTML),
        http_answer(b'["a list"]'),
        http_answer(b'{"hello": "world"}'),
        http_answer(b'{"ApiVersion": "soon"}'),
        http_answer(b'{"ApiVersion": "1.41", "Components": [{"Name": "Podman Engine"}]}'),
    ],
)
def test_a_server_that_is_no_docker_is_told_from_one(serve: Callable[[bytes], str], content: bytes) -> None:
    assert "not a Docker engine" in refusal(serve(content)).what


@pytest.mark.parametrize("body", [HTML, b'{"error": "who are you?"}', b"[]", b""])
def test_a_server_that_refuses_without_dockers_words_is_no_crash(serve: Callable[[bytes], str], body: bytes) -> None:
    assert isinstance(refusal(serve(http_answer(body, "404 Not Found"))), EngineRefusedError)


@pytest.mark.parametrize("content", [b"", http_answer(b'{"Api', length=500)])
def test_a_connection_that_breaks_off_is_said_to_be_lost(serve: Callable[[bytes], str], content: bytes) -> None:
    assert "lost" in refusal(serve(content)).what


def test_nothing_there(tmp_path: Path) -> None:
    assert "no engine answers" in refusal(f"unix://{tmp_path}/none.sock").what


def test_a_socket_that_nobody_listens_on(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "left.sock"))
    assert "no engine answers" in refusal(f"unix://{tmp_path}/left.sock").what


def test_a_file_that_is_no_socket(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "no engine answers" in refusal(f"unix://{tmp_path}/file").what


def test_an_address_that_is_none() -> None:
    assert "cannot be used" in refusal("gopher://engine").what


def test_a_silent_engine_is_waited_for_only_so_long(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s.sock"))
        listener.listen()
        client = EngineClient(f"unix://{tmp_path}/s.sock", "1.41")
        with client, pytest.raises(EngineError, match="in time"):
            client.ask("GET", "/info", timeout_s=0.2)


def test_an_engine_that_reads_slowly_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docker_api, "CONNECT_TIMEOUT_S", 0.1)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s.sock"))
        listener.listen()
        threading.Thread(target=_read_late, args=(listener,), daemon=True).start()
        with EngineClient(f"unix://{tmp_path}/s.sock", "1.41") as client:
            answer = client.ask("POST", "/images/load", data=(bytes(1 << 20) for _ in range(8)), timeout_s=30)
    assert answer.json() == {"read": "all"}


def _read_late(listener: socket.socket) -> None:
    with listener.accept()[0] as caller:
        time.sleep(0.5)
        content = b""
        while not content.endswith(b"\r\n0\r\n\r\n"):
            content = content[-16:] + caller.recv(1 << 20)
        caller.sendall(http_answer(b'{"read": "all"}'))


@pytest.mark.parametrize(
    ("newest", "oldest", "spoken"),
    [("1.41", "1.12", "1.41"), ("1.45", "1.24", "1.45"), ("1.60", "1.44", "1.51"), ("1.70", "1.60", "1.60")],
)
def test_the_newest_version_that_both_know_is_spoken(newest: str, oldest: str, spoken: str) -> None:
    assert docker_api._negotiated({"ApiVersion": newest, "MinAPIVersion": oldest}, "x") == spoken


def test_an_engine_that_is_too_old_is_named_with_its_version() -> None:
    with pytest.raises(EngineError, match=r"19\.03\.8.*too old.*1\.40"):
        docker_api._negotiated({"Version": "19.03.8", "ApiVersion": "1.40"}, "x")


def test_a_full_disk_is_a_precondition() -> None:
    error = complaint("Error processing tar file: write /x: no space left on device", "x")
    assert isinstance(error, PreconditionError)
    assert error.exit_code == 10


@pytest.fixture
def client_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of Docker's client whose active context is ``away``."""
    key = hashlib.sha256(b"away").hexdigest()
    meta = tmp_path / "docker" / "contexts" / "meta" / key / "meta.json"
    meta.parent.mkdir(parents=True)
    host = f"unix://{tmp_path}/away.sock"
    meta.write_text(json.dumps({"Name": "away", "Endpoints": {"docker": {"Host": host}}}))
    (tmp_path / "docker" / "config.json").write_text(json.dumps({"currentContext": "away"}))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.delenv("DOCKER_CONTEXT", raising=False)
    return tmp_path / "docker"


def where_of(host: str | None = None) -> str:
    with pytest.raises(EngineError) as raised:
        connect(host)
    return raised.value.where


def test_given_address_then_variable_then_context_then_default(
    client_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert where_of() == f"unix://{tmp_path}/away.sock"
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/variable.sock")
    assert where_of() == f"unix://{tmp_path}/variable.sock"
    assert where_of(f"unix://{tmp_path}/given.sock") == f"unix://{tmp_path}/given.sock"
    monkeypatch.delenv("DOCKER_HOST")
    monkeypatch.setenv("DOCKER_CONTEXT", "default")
    assert docker_api._endpoint(None) == (docker_api.DEFAULT_ADDRESS, None)


@pytest.mark.parametrize("context", ["unknown", "away"])
def test_a_context_that_cannot_be_used_is_named(
    client_folder: Path, monkeypatch: pytest.MonkeyPatch, context: str
) -> None:
    monkeypatch.setenv("DOCKER_CONTEXT", context)
    (client_folder / "contexts" / "tls" / hashlib.sha256(b"away").hexdigest()).mkdir(parents=True)
    with pytest.raises(EngineError, match=f"context {context} cannot be used"):
        connect()


def test_proxies_of_the_environment_are_left_alone(
    serve: Callable[[bytes], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    client = connect(serve(http_answer(b'{"ApiVersion": "1.45", "MinAPIVersion": "1.24"}')))
    assert client.api_version == "1.45"
