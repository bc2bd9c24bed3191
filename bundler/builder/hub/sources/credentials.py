"""Which server gets which secret.

The person's token for the Hub goes to ``https://huggingface.co`` and nowhere else. A mirror gets what was said
expressly for it: a token by ``--endpoint-token URL=FILE``, a name and password out of ``~/.netrc`` (or the file that
``NETRC`` names) or out of ``HF_ENDPOINT``. Secrets stand in files and the environment, never on a command line, and
in nothing that can be printed: they are in no ``repr`` and in no error.
"""

from __future__ import annotations

import base64
import netrc
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from huggingface_hub import constants

from bundler.builder.hub.sources.endpoints import HUB, Endpoint, origin_of, parse_endpoint
from bundler.core.errors import PreconditionError, UsageError

_TOKEN = re.compile(r"[\x21-\x7e]+")
_LONGEST_TOKEN_FILE = 64 << 10


@dataclass(frozen=True)
class Credentials:
    """Values of ``Authorization`` by the address that they are for; the longest that fits decides."""

    _by_prefix: Mapping[str, str] = field(default_factory=dict, repr=False)
    _by_host: Mapping[str, str] = field(default_factory=dict, repr=False)

    def authorization(self, url: str) -> str | None:
        """The header's value for a request to ``url``, or None."""
        fitting = [prefix for prefix in self._by_prefix if _below(url, prefix)]
        if fitting:
            return self._by_prefix[max(fitting, key=len)]
        return self._by_host.get(urlsplit(url).hostname or "") if origin_of(url) else None

    def headers(self, url: str) -> dict[str, str]:
        """What a request to ``url`` carries."""
        value = self.authorization(url)
        return {"Authorization": value} if value else {}


def gather(
    environ: Mapping[str, str],
    endpoints: Sequence[Endpoint] = (),
    token_file: Path | None = None,
    endpoint_tokens: Sequence[str] = (),
) -> Credentials:
    """Everything that this run may show to somebody; raises UsageError or PreconditionError for what cannot be read.

    ``endpoint_tokens`` are the values of ``--endpoint-token``: ``URL=FILE`` each.
    """
    by_prefix = {endpoint.url: _basic(*endpoint.login) for endpoint in endpoints if endpoint.login}
    token = _read_token(token_file, "--token-file") if token_file else _own_token(environ)
    if token:
        by_prefix[HUB] = f"Bearer {token}"
    for text in endpoint_tokens:
        url, _, path = text.partition("=")
        if not path:
            what = "it does not say which token is for which server"
            raise UsageError(what, where="--endpoint-token", remedy="write URL=FILE; the token stands in the file")
        endpoint = parse_endpoint(url, "--endpoint-token")
        by_prefix[endpoint.url] = f"Bearer {_read_token(Path(path), '--endpoint-token')}"
    return Credentials(by_prefix, _from_netrc(environ))


def _below(url: str, prefix: str) -> bool:
    if origin_of(url) != origin_of(prefix):
        return False
    folder = urlsplit(prefix).path.rstrip("/") + "/"
    return (urlsplit(url).path + "/").startswith(folder)


def _own_token(environ: Mapping[str, str]) -> str | None:
    """``HF_TOKEN``, else what ``hf auth login`` left (https://huggingface.co/docs/huggingface_hub/quick-start)."""
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        if value := environ.get(name, "").strip():
            return _checked(value, name)
    path = Path(environ.get("HF_TOKEN_PATH") or constants.HF_TOKEN_PATH).expanduser()
    try:
        value = path.read_text("utf-8").strip()
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return None  # nobody logged in here; what needs a token says so
    except (OSError, UnicodeDecodeError):
        raise _unreadable(str(path), "the file of the Hub's login") from None
    return _checked(value, str(path)) if value else None


def _read_token(path: Path, where: str) -> str:
    try:
        with _expanded(path).open("rb") as stream:
            value = stream.read(_LONGEST_TOKEN_FILE).decode("utf-8").strip()
    except OSError as error:
        raise PreconditionError(
            f"the file of the token cannot be read: {error.strerror}",
            where=f"{where}, {path}",
            remedy="check its path and mode",
        ) from error
    except UnicodeDecodeError:
        raise _unreadable(f"{where}, {path}", "the file of the token") from None
    return _checked(value, f"{where}, {path}")


def _expanded(path: Path) -> Path:
    """With the home that ``~`` stands for; as it is where there is none."""
    try:
        return path.expanduser()
    except RuntimeError:
        return path


def _checked(value: str, where: str) -> str:
    if not _TOKEN.fullmatch(value):
        what = "there is no token, or it holds characters that no token has"
        raise PreconditionError(what, where=where, remedy="put the token alone there, in one line, such as hf_…")
    return value


def _unreadable(where: str, subject: str) -> PreconditionError:
    return PreconditionError(f"{subject} is not text", where=where, remedy="put the token alone there, in one line")


def _from_netrc(environ: Mapping[str, str]) -> dict[str, str]:
    """Logins by host. The entry ``default`` is left out: it would show a password to every server that is named."""
    named = environ.get("NETRC")
    path = _expanded(Path(named or "~/.netrc"))
    try:
        entries = netrc.netrc(str(path)).hosts
    except (FileNotFoundError, NotADirectoryError) as error:
        if named:
            raise PreconditionError("NETRC names no file", where=str(path), remedy="set NETRC to your file") from error
        return {}
    except (netrc.NetrcParseError, OSError, UnicodeDecodeError):
        if named:
            remedy = "write into it: machine HOST login NAME password PASSWORD"
            raise PreconditionError(
                "the file that NETRC names cannot be read", where=str(path), remedy=remedy
            ) from None
        return {}  # of other programs, whose dialects differ
    return {host: _basic(login, password or "") for host, (login, _, password) in entries.items() if host != "default"}


def _basic(name: str, password: str) -> str:
    """RFC 7617, section 2."""
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode("ascii")
