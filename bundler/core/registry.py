"""A registry as a source of images: manifests and blobs, byte for byte, over the distribution protocol.

    with Registry(reference.host) as registry:
        fetched = registry.manifest(reference.path, "1.36")     # a tag, or str(digest)
        stream = registry.open_blob(reference.path, descriptor) # raises before its end if it is not the blob

Sources: OCI distribution-spec 1.1 ("Pulling manifests", "Pulling blobs"), Docker's token authentication
(distribution/distribution ``docs/content/spec/auth/token.md`` and ``oauth.md``).
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from types import TracebackType
from typing import Any, BinaryIO, Optional, cast
from urllib.parse import urlsplit

import requests
from docker.auth import load_config
from docker.errors import DockerException
from requests.auth import _basic_auth_str
from urllib3.exceptions import HTTPError
from urllib3.util import Retry

from bundler.core.digest import CHUNK_BYTES, Digest
from bundler.core.errors import BundlerError, EngineError
from bundler.core.oci import INDEX, MANIFEST, Descriptor
from bundler.core.readers import CheckedReader, Reader
from bundler.core.reference import DEFAULT_HOST
from bundler.core.registry_transport import Authorization, TrustingAdapter, reached, retries

DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
MANIFEST_TYPES = (MANIFEST, DOCKER_MANIFEST)
INDEX_TYPES = (INDEX, DOCKER_INDEX)
#: The distribution-spec lets registries refuse larger manifests than this (bytes).
MAX_MANIFEST_SIZE = 4 << 20
_TIMEOUT_S = (10.0, 60.0)
_HUB_HOST = "registry-1.docker.io"
_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')


@dataclass(frozen=True)
class Credentials:
    """A user and a password, or an identity token in the password's place (``user`` empty)."""

    user: str
    secret: str


@dataclass(frozen=True)
class FetchedManifest:
    """A manifest or index as the registry stores it."""

    media_type: str
    digest: Digest
    content: bytes


class Registry:
    """One registry, read only. Without ``plain_http``, only a registry on loopback may be spoken to without TLS."""

    def __init__(
        self,
        host: str,
        *,
        credentials: Optional[Credentials] = None,
        plain_http: bool = False,
        ca_bundle: Optional[str] = None,
    ) -> None:
        self.host = host
        self._credentials = credentials
        self._tokens: dict[str, str] = {}
        self._session = requests.Session()
        self._session.mount("http://", requests.adapters.HTTPAdapter(max_retries=retries()))
        self._session.mount("https://", TrustingAdapter(ca_bundle, retries()))
        self._session.headers["User-Agent"] = "bundler"
        self._base = self._find_base(plain_http, ca_bundle)

    def __enter__(self) -> Registry:
        return self

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
        /,
    ) -> None:
        self._session.close()

    def _find_base(self, plain_http: bool, ca_bundle: Optional[str]) -> str:
        host = _HUB_HOST if self.host == DEFAULT_HOST else self.host
        if plain_http:
            return f"http://{host}"
        if not is_loopback(host):
            return f"https://{host}"
        # As engines do: TLS where the registry has it. Asked once, by a session that does not try again.
        with requests.Session() as probe:
            probe.mount("https://", TrustingAdapter(ca_bundle, Retry(0)))
            try:
                probe.get(f"https://{host}/v2/", timeout=_TIMEOUT_S, auth=Authorization(None)).close()
            except (requests.exceptions.SSLError, requests.exceptions.ConnectionError):
                return f"http://{host}"
        return f"https://{host}"

    def manifest(self, path: str, tag_or_digest: str) -> FetchedManifest:
        """The manifest or index of a tag or a digest; its digest is checked where one is known."""
        where = f"{self.host}/{path}:{tag_or_digest}"
        accept = ", ".join((*MANIFEST_TYPES, *INDEX_TYPES))
        with self._answer(path, f"manifests/{tag_or_digest}", {"Accept": accept}) as answer:
            content = _read_limited(answer, where)
            media_type = answer.headers.get("Content-Type", "").partition(";")[0].strip()
            stated = answer.headers.get("Docker-Content-Digest")
        digest = Digest.of(content)
        expected = tag_or_digest if ":" in tag_or_digest else stated
        if expected is not None and expected != str(digest):
            raise _refused(f"the manifest has the digest {digest} instead of {expected}", where)
        if media_type not in (*MANIFEST_TYPES, *INDEX_TYPES):
            raise _refused(f"a manifest of the type {media_type!r}, which is not read", where)
        return FetchedManifest(media_type, digest, content)

    def open_blob(self, path: str, blob: Descriptor) -> BinaryIO:
        """The blob as a stream that raises EngineError before its end unless size and digest are right."""
        where = f"{self.host}/{path}@{blob.digest}"
        answer = self._request(path, f"blobs/{blob.digest}", {})
        return cast("BinaryIO", _BlobReader(answer, blob, where))

    @contextmanager
    def _answer(self, path: str, what: str, headers: Mapping[str, str]) -> Iterator[requests.Response]:
        answer = self._request(path, what, headers)
        try:
            yield answer
        finally:
            answer.close()

    def _request(self, path: str, what: str, headers: Mapping[str, str]) -> requests.Response:
        """One GET; a challenge is answered once, and its token kept for the repository."""
        where = f"{self.host}/{path} ({what})"
        answer = self._get(f"{self._base}/v2/{path}/{what}", headers, self._tokens.get(path), where)
        if answer.status_code == HTTPStatus.UNAUTHORIZED:
            challenge = answer.headers.get("WWW-Authenticate", "")
            answer.close()
            self._tokens[path] = self._authorization(challenge, path, where)
            answer = self._get(f"{self._base}/v2/{path}/{what}", headers, self._tokens[path], where)
        if answer.status_code != HTTPStatus.OK:
            with answer:
                raise _complaint(answer, where)
        return answer

    def _get(self, url: str, headers: Mapping[str, str], authorization: Optional[str], where: str) -> requests.Response:
        with reached(where):
            # identity: what is stored is what is hashed, no transport encoding in between
            sent = {"Accept-Encoding": "identity", **headers}
            return self._session.get(
                url, headers=sent, auth=Authorization(authorization), stream=True, timeout=_TIMEOUT_S
            )

    def _authorization(self, challenge: str, path: str, where: str) -> str:
        """The Authorization header that answers a challenge."""
        scheme, _, rest = challenge.partition(" ")
        if scheme.lower() == "basic" and self._credentials and self._credentials.user:
            return _basic_auth_str(self._credentials.user, self._credentials.secret)
        fields = dict(_CHALLENGE.findall(rest))
        if scheme.lower() != "bearer" or "realm" not in fields:
            raise _forbidden("the registry wants to know who asks", where)
        self._require_safe(fields["realm"], where)
        fields.setdefault("scope", f"repository:{path}:pull")
        return f"Bearer {self._token(fields, where)}"

    def _require_safe(self, realm: str, where: str) -> None:
        """A password goes over TLS, or where the registry itself is without it."""
        if urlsplit(realm).scheme != "https" and self._base.startswith("https:"):
            raise _refused(f"the registry sends to a token service without TLS, {realm}", where)

    def _token(self, fields: Mapping[str, str], where: str) -> str:
        query = {key: fields[key] for key in ("service", "scope") if key in fields}
        known = self._credentials
        with reached(where):
            if known and not known.user:
                form = {**query, "grant_type": "refresh_token", "refresh_token": known.secret, "client_id": "bundler"}
                answer = self._session.post(
                    fields["realm"], data=form, auth=Authorization(None), timeout=_TIMEOUT_S, allow_redirects=False
                )
            else:
                header = _basic_auth_str(known.user, known.secret) if known else None
                answer = self._session.get(
                    fields["realm"], params=query, auth=Authorization(header), timeout=_TIMEOUT_S
                )
            if answer.status_code != HTTPStatus.OK:
                raise _complaint(answer, where)
            document = answer.json()
            token = document.get("token") or document.get("access_token") if isinstance(document, dict) else None
        if not token:
            raise _refused("the token service gave no token", where)
        return str(token)


class _BlobReader(Reader):
    """A blob's answer as a checked stream whose errors are the registry's, not a bundle's."""

    def __init__(self, answer: requests.Response, blob: Descriptor, where: str) -> None:
        super().__init__()
        self._answer = answer
        self._where = where
        with self._translated():
            self._checked = CheckedReader(cast("BinaryIO", answer.raw), blob.digest, blob.size, where)

    def next_chunk(self) -> bytes:
        """The next piece of the blob."""
        with self._translated():
            return self._checked.next_chunk()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            with reached(self._where):
                yield
        except EngineError:
            raise
        except BundlerError as error:
            raise _refused(error.what, self._where) from error

    def close(self) -> None:
        """Give the connection back."""
        self._answer.close()
        super().close()


def is_loopback(host: str) -> bool:
    """Whether a registry host, with or without a port, is this machine."""
    name = urlsplit(f"//{host}").hostname or ""
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def stored_credentials(host: str) -> Optional[Credentials]:
    """What ``docker login`` stored for the host, in its configuration or a credential helper."""
    try:
        found: dict[str, Any] = cast("Any", load_config)().resolve_authconfig(host) or {}
    except DockerException as error:
        raise EngineError(
            f"the stored login for {host} cannot be read: {error}",
            where="Docker's config.json",
            remedy=f"repair it with: docker login {host}",
        ) from error
    token, user = found.get("IdentityToken") or found.get("identitytoken"), found.get("username")
    if token:
        return Credentials("", str(token))
    return Credentials(str(user), str(found.get("password") or "")) if user else None


def _read_limited(answer: requests.Response, where: str) -> bytes:
    with reached(where):
        content = bytearray()
        for chunk in answer.iter_content(CHUNK_BYTES):
            content += chunk
            if len(content) > MAX_MANIFEST_SIZE:
                raise _refused(f"a manifest of more than {MAX_MANIFEST_SIZE} bytes", where)
        return bytes(content)


def _complaint(answer: requests.Response, where: str) -> EngineError:
    if answer.status_code in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return _forbidden(f"the registry refuses: {_message(answer)}", where)
    if answer.status_code == HTTPStatus.NOT_FOUND:
        remedy = "correct the image's name, or log in if the repository is not public"
        return EngineError(f"the registry has no such image: {_message(answer)}", where=where, remedy=remedy)
    return _refused(f"the registry answers {answer.status_code}: {_message(answer)}", where)


def _message(answer: requests.Response) -> str:
    """The text of the registry's error document (distribution-spec, "Error Codes"), or the status."""
    try:
        errors = json.loads(answer.content)["errors"]
        return "; ".join(str(each.get("message") or each.get("code")) for each in errors)[:500]
    except (ValueError, KeyError, TypeError, AttributeError, requests.RequestException, HTTPError):
        return f"{answer.status_code} {answer.reason}"


def _forbidden(what: str, where: str) -> EngineError:
    host = where.partition("/")[0]
    return EngineError(what, where=where, remedy=f"log in: docker login {host}")


def _refused(what: str, where: str) -> EngineError:
    return EngineError(what, where=where, remedy="try again, and look into the registry if it stays so")
