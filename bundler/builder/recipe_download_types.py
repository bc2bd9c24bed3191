"""The scalar types of a recipe that speak of downloads: sizes, rates and addresses.

An address with a password is refused without being repeated, and so is what may be one: a recipe is kept in version
control, and what is printed stands in logs.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema

from bundler.builder.recipe_types import fault, shown, text_of

_SIZE = re.compile(r"(\d{1,15}(?:\.\d{1,9})?)(B|KB|MB|GB|TB|KiB|MiB|GiB|TiB)")
_SIZE_UNITS = {"B": 1, **{unit + "B": 1000 ** (n + 1) for n, unit in enumerate("KMGT")}}
_SIZE_UNITS |= {unit + "iB": 1024 ** (n + 1) for n, unit in enumerate("KMGT")}
_HOST = r"(?:\[[0-9A-Fa-f:.]+\]|[^\s/@:?#\[\]]+)(?::\d{1,5})?"
_HTTP = re.compile(rf"https?://{_HOST}(?:/\S*)?")
_USER = r"[A-Za-z0-9_.-]+@"
_GIT = re.compile(rf"(?:https?|git)://{_HOST}/\S+|ssh://(?:{_USER})?{_HOST}/\S+|file:///\S+|{_USER}[A-Za-z0-9.-]+:\S+")


def _size(value: object) -> int:
    """Bytes as a number, or as text with a unit: decimal (``4GB``) or binary (``512MiB``)."""
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value
    match = _SIZE.fullmatch(value) if isinstance(value, str) else None
    size = int(float(match[1]) * _SIZE_UNITS[match[2]]) if match else 0
    if size <= 0:
        raise fault(f"{shown(value)} is not a size", "write a number and a unit: 64KiB, 512MiB or 4.6GB")
    return size


def _rate(value: object) -> int:
    """Bytes per second: a size, with or without ``/s``."""
    return _size(value.removesuffix("/s") if isinstance(value, str) else value)


def _url(value: object) -> str:
    text = text_of(value, "https://mirror.example/models")
    if "@" in text.partition("://")[2].partition("/")[0]:
        remedy = "take the name and password out; put them into ~/.netrc, which only you can read"
        raise fault("an address with a password in it", remedy)  # which is not repeated
    if not _HTTP.fullmatch(text):
        raise fault(f"{_without_secret(text)} is not an address", "write http://HOST/… or https://HOST/…")
    return text.rstrip("/")


def _git_url(value: object) -> str:
    text = text_of(value, "https://git.example/models/minilm.git")
    scheme, _, rest = text.partition("://")
    user, at, _ = rest.partition("/")[0].rpartition("@")
    # A name alone is a token as often as not where it goes by HTTP; ssh needs one, such as `git`.
    if at and (":" in user or scheme.startswith("http")):
        remedy = "take the name and password out; git asks your credential helper for them"
        raise fault("an address with a password in it", remedy)
    if not _GIT.fullmatch(text):
        what = f"{_without_secret(text)} is not the address of a git repository"
        raise fault(what, "write https://…, ssh://… or git@HOST:PATH")
    return text


def _without_secret(text: str) -> str:
    """What is no address may still hold a password: whatever has an ``@`` is not repeated."""
    return "what stands here" if "@" in text else repr(text)


def _size_schema(pattern: str) -> dict[str, Any]:
    return {"anyOf": [{"type": "string", "pattern": pattern}, {"type": "integer", "minimum": 1}]}


ByteSize = Annotated[int, BeforeValidator(_size), WithJsonSchema(_size_schema(f"^{_SIZE.pattern}$"))]
ByteRate = Annotated[int, BeforeValidator(_rate), WithJsonSchema(_size_schema(f"^{_SIZE.pattern}(/s)?$"))]
HttpUrl = Annotated[str, BeforeValidator(_url), WithJsonSchema({"type": "string", "pattern": "^https?://"})]
GitUrl = Annotated[str, BeforeValidator(_git_url)]
