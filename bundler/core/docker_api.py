"""Talking to a Docker engine: one client for installer and builder, and one place where its errors become ours.

    client = connect()                            # DOCKER_HOST, the active context, or the default socket
    client.ask("GET", "/images/json").json()      # EngineError, EngineRefusedError or PreconditionError where it fails
    with translated(client.address):              # the same for methods of the SDK and for streams
        client.tag(...)

The SDK gives sockets, TLS and the session. Answers are read here, because the SDK raises bare errors of several
libraries for an engine that answers with something else than it expects.

Source: Docker Engine API v1.41 to v1.51 (https://docs.docker.com/reference/api/engine/version-history/).
"""

from __future__ import annotations

import errno
import hashlib
import http.client
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Optional, Protocol, cast

import docker
from docker.errors import APIError, DockerException
from docker.tls import TLSConfig
from docker.utils import kwargs_from_env

from bundler.core.errors import BundlerError, EngineError, PreconditionError

OLDEST_API = (1, 41)  # Docker 20.10
NEWEST_API = (1, 51)  # Docker 28; a newer engine is spoken to in this version
DEFAULT_ADDRESS = "unix:///var/run/docker.sock"
CONNECT_TIMEOUT_S = 10.0
#: Removing or creating something large takes an engine minutes, without a byte of answer.
ANSWER_TIMEOUT_S = 600.0
_NO_SPACE = "no space left on device"
_GONE = {errno.ENOENT, errno.ECONNREFUSED, errno.ENOTSOCK, errno.ENOTDIR, errno.EHOSTUNREACH, errno.ENETUNREACH}
_FORBIDDEN = {errno.EACCES, errno.EPERM}


class EngineRefusedError(EngineError):
    """The engine answered with an error; ``status`` is that of HTTP, ``message`` the engine's own text."""

    def __init__(self, status: int, message: str, *, where: str) -> None:
        super().__init__(f"the engine refused: {message}", where=where, remedy=_remedy_for(status))
        self.status = status
        self.message = message


class Answer(Protocol):
    """What is used of an HTTP answer."""

    @property
    def headers(self) -> Mapping[str, str]:
        """Its headers, by name in any case."""

    def json(self) -> Any:  # noqa: ANN401 - the API's documents have no type
        """The body, parsed."""

    def iter_content(self, chunk_size: int) -> Iterator[bytes]:
        """The body in pieces."""

    def close(self) -> None:
        """Give the connection back."""


class EngineClient(docker.APIClient):
    """The SDK's client with the address that it speaks to, and ``ask``."""

    def __init__(self, address: str, version: str, tls: Optional[TLSConfig] = None) -> None:
        # Proxies and passwords of the environment are for the outside; none stands before an engine.
        super().__init__(address, version=version, timeout=int(ANSWER_TIMEOUT_S), tls=tls or False)
        self.trust_env = False
        # An engine packs archives with gzip for whoever takes it, at a tenth of the speed; the wire is a local socket.
        self.headers["Accept-Encoding"] = "identity"
        self.address = address

    def ask(
        self,
        method: str,
        path: str,
        *,
        params: Optional[Mapping[str, object]] = None,
        body: Optional[object] = None,
        data: Optional[Iterable[bytes]] = None,
        timeout_s: float = ANSWER_TIMEOUT_S,
        stream: bool = False,
        versioned: bool = True,
    ) -> Answer:
        """Send one request; ``body`` goes as JSON, ``data`` as a stream of tar, ``timeout_s`` is between two bytes.

        Raises as `translated` does; what ``data`` raises comes through as it is, and the request is cut off.
        """
        headers = {"Content-Type": "application/x-tar"} if data is not None else {}
        prefix = f"/v{self.api_version}" if versioned else ""
        # urllib3 sends the body under the time limit for connecting; an engine may stop reading while its disk is busy.
        connect_timeout_s = CONNECT_TIMEOUT_S if data is None else timeout_s
        with translated(self.address):
            answer = super().request(
                method,
                f"{self.base_url}{prefix}{path}",
                params=cast("Any", params),
                json=body,
                data=data,
                headers=headers,
                stream=stream,
                timeout=(connect_timeout_s, timeout_s),
                allow_redirects=False,
            )
            if answer.status_code >= 300:
                raise complaint(_message_of(answer.content, str(answer.reason)), self.address, answer.status_code)
            return cast("Answer", answer)

    def ask_json(self, method: str, path: str, **options: Any) -> Any:  # noqa: ANN401 - as in ``ask``
        """Send one request and parse the answer; EngineError where it is not JSON."""
        answer = self.ask(method, path, **options)
        with translated(self.address):
            return answer.json()


def connect(host: Optional[str] = None) -> EngineClient:
    """A client for ``host``, else for DOCKER_HOST, the active context, or the default socket.

    The newest version of the API that both sides know is used. Raises EngineError where nothing answers, where it is
    not Docker or is too old, and PreconditionError where the socket may not be opened.
    """
    address, tls = _endpoint(host)
    try:
        with translated(address):
            probe = EngineClient(address, _text(OLDEST_API), tls)
        with probe:
            about = probe.ask_json("GET", "/version", versioned=False, timeout_s=60.0)
    except ValueError as error:  # of whoever takes the address apart
        remedy = "name an engine as unix:///var/run/docker.sock, ssh://USER@HOST or tcp://HOST:2376"
        raise EngineError(f"that is no address of an engine: {error}", where=address, remedy=remedy) from error
    version = _negotiated(about, address)
    with translated(address):
        return EngineClient(address, version, tls)


@contextmanager
def translated(where: str) -> Iterator[None]:
    """Turn what the SDK and the layers below it raise into errors that say what to do; ``where`` is the address.

    EngineError: not running, not Docker, silent for too long, gone in the middle; EngineRefusedError: it answered with an
    error; PreconditionError: no permission for the socket, no space left where the engine stores.
    """
    try:
        yield
    except BundlerError:
        raise
    except APIError as error:
        raise complaint(str(error.explanation or error), where, error.status_code or 500) from error
    except (OSError, DockerException, http.client.HTTPException) as error:
        raise _unreachable(error, where) from error


def complaint(message: str, where: str, status: int = 500) -> BundlerError:
    """The error for what an engine says in its own words, in an answer or inside a stream."""
    message = _one_line(message)
    if _NO_SPACE in message.lower():
        return PreconditionError(
            f"the engine has no space left: {message}",
            where=where,
            remedy="make room where the engine stores its images (docker system df), and run the same command again",
        )
    return EngineRefusedError(status, message, where=where)


def _one_line(text: str) -> str:
    return " ".join(text.split())[:2000]


def _remedy_for(status: int) -> str:
    if status == http.client.FORBIDDEN:
        return "ask whoever runs the engine: a plug-in or a proxy in front of it forbids this"
    return "look into the engine's log (journalctl -u docker), then run the same command again"


def _message_of(content: bytes, reason: str) -> str:
    """The engine's text: ``{"message": …}``, or whatever came."""
    try:
        document = json.loads(content)
    except ValueError:
        return content[:500].decode(errors="replace").strip() or reason
    message = document.get("message") if isinstance(document, dict) else None
    return str(message or document)


def _unreachable(error: BaseException, where: str) -> BundlerError:
    """The error for a request that had no answer, by the cause at the bottom of the libraries' chain."""
    chain = list(_causes(error))
    numbers = {cause.errno for cause in chain if isinstance(cause, OSError)}
    names = {type(cause).__name__ for cause in chain}
    if numbers & _FORBIDDEN:
        return PreconditionError(
            "no permission to speak to the engine",
            where=where,
            remedy="run the command as root, or as a user of the group that owns the socket (often: docker)",
        )
    if numbers & _GONE:
        return EngineError(
            "no engine answers there",
            where=where,
            remedy="start Docker (systemctl start docker), or set DOCKER_HOST to the engine's address",
        )
    if any("Timeout" in name or name == "timeout" for name in names):
        return EngineError(
            "the engine did not answer in time",
            where=where,
            remedy="look whether it or its disk is overloaded or hangs, restart it, and run the same command again",
        )
    if any("JSON" in name or name == "BadStatusLine" for name in names):
        return not_docker(where)
    if isinstance(error, DockerException):
        return EngineError(
            f"this address of an engine cannot be used: {error}",
            where=where,
            remedy="set DOCKER_HOST to unix:///path/of/docker.sock or tcp://host:port",
        )
    return EngineError(
        f"the connection to the engine was lost: {_one_line(str(chain[-1]))}",
        where=where,
        remedy="look whether the engine still runs and into its log (journalctl -u docker), then run the command again",
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and all that caused it; urllib3 keeps causes in ``reason`` and in the arguments."""
    seen: set[int] = set()
    waiting: list[object] = [error]
    while waiting:
        cause = waiting.pop(0)
        if isinstance(cause, BaseException) and id(cause) not in seen:
            seen.add(id(cause))
            yield cause
            waiting += [cause.__cause__, cause.__context__, getattr(cause, "reason", None), *cause.args]


def not_docker(where: str) -> EngineError:
    """The error for something that answers, but not as Docker does."""
    return EngineError(
        "what answers there is not a Docker engine",
        where=where,
        remedy="set DOCKER_HOST to the address of a Docker engine, 20.10 or later",
    )


def _negotiated(about: object, where: str) -> str:
    """The version of the API to speak, from the engine's ``/version``."""
    if not isinstance(about, dict):
        raise not_docker(where)
    newest, oldest = _version(about.get("ApiVersion")), _version(about.get("MinAPIVersion"))
    components = about.get("Components") or []
    if newest is None or any("Podman" in str(component) for component in components):
        raise not_docker(where)
    if newest < OLDEST_API:
        raise EngineError(
            f"Docker {about.get('Version')} is too old: its API ends at {_text(newest)}, {_text(OLDEST_API)} is needed",
            where=where,
            remedy="bring Docker up to 20.10 or later",
        )
    return _text(max(min(newest, NEWEST_API), oldest or OLDEST_API))


def _version(text: object) -> Optional[tuple[int, int]]:
    major, _, minor = str(text).partition(".")
    return (int(major), int(minor)) if major.isdecimal() and minor.isdecimal() else None


def _text(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"


def _endpoint(host: Optional[str]) -> tuple[str, Optional[TLSConfig]]:
    """Address and TLS in the order of Docker's own client: given, DOCKER_HOST, context, default."""
    given = host or os.environ.get("DOCKER_HOST")
    address = given or _context_address() or DEFAULT_ADDRESS
    with translated(address):
        # DOCKER_TLS_VERIFY and DOCKER_CERT_PATH belong to an address that was given, not to a context's.
        settings = kwargs_from_env(environment={**os.environ, "DOCKER_HOST": given}) if given else {}
    tls = settings.get("tls")
    return address, tls if isinstance(tls, TLSConfig) and not address.startswith("unix:") else None


def _context_address() -> Optional[str]:
    """The address of Docker's active context; None for the default one.

    Source: ``cli/context/store`` of docker/cli: ``contexts/meta/<sha256 of the name>/meta.json``.
    """
    folder = Path(os.environ.get("DOCKER_CONFIG") or Path(os.environ.get("HOME") or "/") / ".docker")
    name = os.environ.get("DOCKER_CONTEXT") or _read(folder / "config.json").get("currentContext")
    if not name or name == "default":
        return None
    key = hashlib.sha256(str(name).encode()).hexdigest()
    endpoint = _read(folder / "contexts" / "meta" / key / "meta.json").get("Endpoints", {}).get("docker", {})
    address = str(endpoint.get("Host") or "")
    if not address or (folder / "contexts" / "tls" / key).exists():
        raise EngineError(
            f"Docker's context {name} cannot be used from here",
            where=str(folder),
            remedy="set DOCKER_HOST (for TLS also DOCKER_TLS_VERIFY and DOCKER_CERT_PATH) to the engine's address",
        )
    return address


def _read(path: Path) -> dict[str, Any]:
    """A configuration file of Docker's client; empty where it cannot be read."""
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}
