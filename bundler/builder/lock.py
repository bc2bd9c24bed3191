"""What a recipe resolved to: commits, files, sizes and digests, each read from its source and never made up.

``recipe.lock`` is JSON with sorted keys. The types hold the rule that nothing is invented: ``commit``, ``size`` and
every digest must be given, none has a default. A digest that is not known yet is ``None`` because a caller said so.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    InstanceOf,
    PlainSerializer,
    StringConstraints,
    model_validator,
)

from bundler.builder.lock_file import parse_lock
from bundler.core.digest import Digest
from bundler.core.errors import RecipeError

LOCK_FILE = "recipe.lock"
FORMAT = 1


def _digest(value: object) -> object:
    return Digest.parse(value) if isinstance(value, str) else value


def _relative(path: str) -> str:
    if path != str(PurePosixPath(path)) or path.startswith("/") or path == "." or ".." in path.split("/"):
        raise ValueError(f"{path!r} is not a normalised relative path")
    return path


Commit = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{40}$")]
Sha256Hex = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
GitSha1Hex = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{40}$")]
SnapshotPath = Annotated[str, AfterValidator(_relative)]
LockedDigest = Annotated[InstanceOf[Digest], BeforeValidator(_digest), PlainSerializer(str, return_type=str)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class LockedFile(_Part):
    """One file of a snapshot. The Hub gives a sha256 for LFS files and a git blob SHA-1 for the others."""

    path: SnapshotPath
    size: int = Field(ge=0, description="Bytes.")
    sha256: Sha256Hex | None
    git_sha1: GitSha1Hex | None

    @model_validator(mode="after")
    def _is_identified(self) -> LockedFile:
        if self.sha256 is None and self.git_sha1 is None:
            raise ValueError(f"{self.path!r} has neither a sha256 nor a git_sha1")
        return self


class LicenseText(_Part):
    """One file of a repo that states terms, such as ``LICENSE`` or ``USE_POLICY.md``, in full."""

    path: SnapshotPath
    sha256: Sha256Hex
    text: str


class LockedLicense(_Part):
    """Under which terms a model stands, as its repo states them, and whether somebody took them on."""

    id: str | None = Field(description="Licence id of the model card.")
    name: str | None = Field(description="Its `license_name`, where the id is `other`.")
    link: str | None = Field(description="Its `license_link`.")
    gated: bool = Field(description="Whether the Hub asks who downloads it to agree first.")
    texts: tuple[LicenseText, ...] = Field(description="The repo's own files that state terms.")
    accepted: Literal["recipe", "command line"] | None = Field(description="Where it was accepted, if it had to be.")


class LockedModel(_Part):
    """One model: what was asked, and the commit and files that it resolved to."""

    name: str
    repo_id: str = Field(description="As the recipe asks for it.")
    canonical_id: str = Field(description="As the Hub calls it now; differs for a renamed repo.")
    revision: str = Field(description="As the recipe asks for it.")
    commit: Commit | None = Field(description="None for files that were resolved from plain addresses.")
    include: tuple[str, ...]
    exclude: tuple[str, ...]
    license: LockedLicense
    library: str | None = Field(description="The library that the repo is made for, as the Hub says.")
    has_safetensors: bool = Field(description="Whether the repo holds safetensors, among the files taken or not.")
    files: tuple[LockedFile, ...]

    @model_validator(mode="after")
    def _files_are_sorted(self) -> LockedModel:
        paths = [file.path for file in self.files]
        if paths != sorted(set(paths)):
            raise ValueError(f"the files of {self.name!r} are not sorted by path, or one occurs twice")
        return self

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return sum(file.size for file in self.files)

    @property
    def told(self) -> str:
        """The model for people: ``OWNER/NAME@COMMIT``, or its name alone where there is no commit."""
        return f"{self.repo_id}@{self.commit}" if self.commit else self.repo_id


class LockedImage(_Part):
    """One image from outside: ``asked`` as written, and what identifies it at the place it was taken from."""

    role: Literal["from", "image"]
    asked: str
    kind: Literal["registry-digest", "layout-digest", "image-id"]
    value: LockedDigest


class Lock(_Part):
    """Everything that a recipe resolved to, models in the recipe's order (their layers stand in it)."""

    format: Literal[1]
    platform: str
    models: tuple[LockedModel, ...]
    images: tuple[LockedImage, ...] | None = Field(description="None while only the models were resolved.")

    @model_validator(mode="after")
    def _each_once(self) -> Lock:
        names = [model.name for model in self.models]
        asked = [(image.role, image.asked) for image in self.images or ()]
        for each in (names, asked):
            if len(set(each)) != len(each):
                raise ValueError(f"an entry occurs twice in {each}")
        return self

    def model_named(self, name: str) -> LockedModel | None:
        """The model with the recipe's short name, or None."""
        return next((model for model in self.models if model.name == name), None)

    def image_asked(self, role: Literal["from", "image"], asked: str) -> LockedImage | None:
        """The image of this role and reference as written, or None."""
        return next((image for image in self.images or () if (image.role, image.asked) == (role, asked)), None)


def read_lock(path: Path) -> Lock | None:
    """The lock in ``path``, or None if there is none; raises RecipeError, with lines, if it cannot be used."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        remedy = "make the lock readable, or remove it and build again"
        raise RecipeError(f"the lock cannot be read: {error.strerror}", where=str(path), remedy=remedy) from error
    return parse_lock(content, path, Lock)


def write_lock(path: Path, lock: Lock) -> None:
    """Write ``lock`` under a temporary name beside ``path``, flush it and rename it; raises RecipeError."""
    text = json.dumps(lock.model_dump(mode="json"), indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    try:
        _replace(path, text.encode())
    except OSError as error:
        remedy = "make the recipe's directory writable, or free some space there"
        raise RecipeError(f"the lock cannot be written: {error.strerror}", where=str(path), remedy=remedy) from error


def _replace(path: Path, content: bytes) -> None:
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fchmod(stream.fileno(), 0o644)
            os.fsync(stream.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
