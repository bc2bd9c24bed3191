"""The scalar types of a recipe: each reads what YAML gives, says what would be right, and describes itself to JSON Schema.

A validator raises ``PydanticCustomError`` whose context holds the remedy, so that the reader of the file can print
what is wrong and what would be right side by side.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, InstanceOf, StringConstraints, WithJsonSchema
from pydantic_core import PydanticCustomError

from bundler.core.checks import Peer
from bundler.core.reference import Reference

_SEGMENT = re.compile(r"[A-Za-z0-9._+@-]+")
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|s|m|h))+")
_LONGEST_S = 366 * 24 * 3600.0  # clocks and sockets count no further than some years
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_REPO_PART = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
SHELL = ("/bin/sh", "-c")
# Engines mount over the first three in every container, and checks run with a tmpfs on the last.
_MOUNTED_OVER = ("proc", "sys", "dev", "tmp")


class Part(BaseModel):
    """A mapping of a recipe: no other keys than its own, and no value that is made to fit."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, validate_by_name=True, validate_by_alias=True)


def fault(what: str, remedy: str) -> PydanticCustomError:
    """An error of validation that carries what would be right."""
    return PydanticCustomError("recipe", "{what}", {"what": what, "remedy": remedy})


def text_of(value: object, example: str) -> str:
    """Text that is not empty; ``example`` is shown where it is not."""
    if isinstance(value, str) and value:
        return value
    raise fault(f"{shown(value)} is not text", f"write text, such as {example}; put numbers in quotes")


def shown(value: object) -> str:
    """A value as messages repeat it."""
    return "an empty value" if value in (None, "", ()) else repr(list(value) if isinstance(value, tuple) else value)


def _image_path(value: object) -> PurePosixPath:
    """An absolute, normalised path inside an image; anything else is refused, nothing is tidied up in silence."""
    if isinstance(value, PurePosixPath):
        return value
    text = text_of(value, "/app/models/minilm")
    parts = text.split("/")[1:]
    remedy = "write an absolute path below /, without '.' or '..', such as /app/models/minilm"
    if not text.startswith("/"):
        raise fault(f"{text!r} is not an absolute path", remedy)
    if parts == [""]:
        raise fault("'/' is the root of the image", remedy)
    if any(part in ("", ".", "..") for part in parts):
        raise fault(f"{text!r} is not normalised", remedy)
    if not all(_SEGMENT.fullmatch(part) and not part.startswith(".wh.") for part in parts):
        raise fault(
            f"{text!r} holds characters that paths of layers must not hold", "use letters, digits and . _ + @ -"
        )
    if parts[0] in _MOUNTED_OVER:
        raise fault(
            f"{text!r} lies where containers mount something else over it", "choose a place such as /app or /opt"
        )
    return PurePosixPath(text)


def _image_name(value: object) -> str:
    text = text_of(value, "busybox:1.36")
    try:
        Reference.parse(text)
    except ValueError as error:
        raise fault(f"not an image name: {error}", "write NAME:TAG or NAME@sha256:…, such as busybox:1.36") from None
    return text


def _tag(value: object) -> Reference:
    if isinstance(value, Reference):
        return value
    reference = Reference.parse(_image_name(value))
    if reference.digest is not None:
        raise fault(f"{value!r} names a digest, which nobody can choose", "write NAME:TAG, such as quickstart:1.0.0")
    if reference.tag is None:
        raise fault(f"{value!r} has a name but no tag", f"write NAME:TAG, such as {value}:1.0.0")
    return reference


def _command(value: object) -> tuple[str, ...]:
    """A shell line becomes ``/bin/sh -c LINE``; a list stays the program and its arguments."""
    if isinstance(value, str) and value.strip():
        return (*SHELL, value)
    if isinstance(value, (list, tuple)) and value and all(isinstance(part, str) for part in value) and value[0]:
        return tuple(value)
    remedy = "write a shell line, or a list such as [python, -m, service.selfcheck]; put numbers in quotes"
    raise fault(f"{shown(value)} is not a command", remedy)


def _seconds(value: object) -> float:
    seconds = 0.0
    if isinstance(value, str) and _DURATION.fullmatch(value):
        seconds = sum(float(number) * _SECONDS[unit] for number, unit in _DURATION_PART.findall(value))
    if seconds <= 0:
        raise fault(f"{shown(value)} is not a length of time", "write a number and a unit: 500ms, 10s, 2m or 1m30s")
    if seconds > _LONGEST_S:
        raise fault(f"{shown(value)} is longer than a year", "write a shorter time")
    return seconds


def _patterns(value: object) -> tuple[str, ...]:
    """One regular expression or a list of them, each of which must compile."""
    found = (value,) if isinstance(value, str) else value
    if not isinstance(found, (list, tuple)) or not all(isinstance(each, str) and each for each in found):
        raise fault(f"{shown(value)} is not a pattern", "write a regular expression in quotes, or a list of them")
    for pattern in found:
        try:
            re.compile(pattern)
        except re.error as error:
            remedy = "write a regular expression of Python; put a backslash before a character meant as it stands"
            raise fault(f"{pattern!r} is not a regular expression: {error}", remedy) from None
    return tuple(found)


def _peer(value: object) -> str:
    text = text_of(value, "database:5432")
    try:
        return str(Peer.parse(text))
    except ValueError as error:
        raise fault(str(error), "write the name or address of the peer, such as database:5432") from None


def _repo(value: object) -> str:
    """Repo ids as the Hub's client takes them (``huggingface_hub.utils.validate_repo_id``)."""
    text = text_of(value, "sentence-transformers/all-MiniLM-L6-v2")
    parts = text.split("/")
    fits = len(parts) <= 2 and len(text) <= 96 and all(_REPO_PART.fullmatch(part) for part in parts)
    if not fits or "--" in text or ".." in text or text.endswith(".git"):
        raise fault(f"{text!r} is not a repo of the Hub", "write OWNER/NAME, as the page of the model shows it")
    return text


def _disk_path(value: object) -> str:
    """A path on this host, as a file system can have it."""
    text = text_of(value, "Dockerfile")
    if _CONTROL.search(text) or len(text) > 1024 or any(len(part.encode()) > 255 for part in text.split("/")):
        raise fault(f"{text[:60]!r} cannot be a path", "write a path without control characters, and not so long")
    return text


def _recipe_path(value: object) -> str:
    text = _disk_path(value)
    if PurePosixPath(text).is_absolute():
        raise fault(f"{text!r} exists on one machine only", "write a path relative to the recipe's directory")
    return text


def _format(value: object) -> object:
    # In Python 1, 1.0 and True are equal; in a file they are not the same thing.
    return value if type(value) is int else repr(value)


def _pattern_of_files(value: object) -> str:
    text = _disk_path(value)
    if text.startswith("/") or ".." in text.split("/") or "\\" in text:
        raise fault(f"{text!r} reaches outside", 'write a pattern relative to the directory, such as "*.json"')
    return text


def _file_path(value: object) -> str:
    """The path of one file below some directory."""
    text = _pattern_of_files(value)
    if text != str(PurePosixPath(text)) or text == ".":
        raise fault(f"{text!r} is not the path of a file", "write it without '.' and doubled or final '/'")
    return text


_APART = rf"(?!/(?:{'|'.join(_MOUNTED_OVER)})(?:/|$))"
_PART = rf"/(?!\.{{1,2}}(?:/|$)|\.wh\.){_SEGMENT.pattern}"
_ABSOLUTE = {"type": "string", "pattern": f"^{_APART}(?:{_PART})+$"}
_SOME_TIME = {"type": "string", "pattern": rf"^(?=.*[1-9])(?:{_DURATION_PART.pattern})+$"}
_COMMANDS = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}
_REGEXES = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string", "format": "regex"}}]}
_TEXT_AND_TAG = {"type": "string", "pattern": r"^[^@:]+(:[0-9]+/[^@:]+)?:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$"}

ImagePath = Annotated[PurePosixPath, BeforeValidator(_image_path), WithJsonSchema(_ABSOLUTE)]
ImageName = Annotated[str, BeforeValidator(_image_name)]
Tag = Annotated[InstanceOf[Reference], BeforeValidator(_tag), WithJsonSchema(_TEXT_AND_TAG)]
Command = Annotated[tuple[str, ...], BeforeValidator(_command), WithJsonSchema(_COMMANDS)]
Seconds = Annotated[float, BeforeValidator(_seconds), WithJsonSchema(_SOME_TIME)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Patterns = Annotated[tuple[str, ...], BeforeValidator(_patterns), WithJsonSchema(_REGEXES)]
RepoId = Annotated[str, BeforeValidator(_repo)]
FormatNumber = Annotated[Literal[1], BeforeValidator(_format)]
DiskPath = Annotated[str, BeforeValidator(_disk_path)]
RecipePath = Annotated[str, BeforeValidator(_recipe_path)]
FilePattern = Annotated[str, BeforeValidator(_pattern_of_files)]
FilePath = Annotated[str, BeforeValidator(_file_path)]
PeerName = Annotated[str, BeforeValidator(_peer)]
HttpPath = Annotated[str, StringConstraints(pattern=r"^/[\x21-\x7e]*$")]
HeaderName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")]
HeaderValue = Annotated[str, StringConstraints(pattern=r"^[^\r\n\x00]*$")]
Text = Annotated[str, StringConstraints(min_length=1)]
Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+([._-][a-z0-9]+)*$", max_length=100)]
Version = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]*$", max_length=100)]
Revision = Annotated[str, StringConstraints(pattern=r"^[^\s~^:?*\[\\]+$", max_length=250)]
VariableName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
UserName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*(:[A-Za-z0-9_][A-Za-z0-9_.-]*)?$")]
SecretId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$")]
