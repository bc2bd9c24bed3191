"""What a recipe says of models: which, from where, how patiently they are downloaded, and what they must hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, Union

from pydantic import Discriminator, Field
from pydantic import Tag as UnionTag

from bundler.builder.recipe_download_types import ByteRate, ByteSize, GitUrl, HttpUrl
from bundler.builder.recipe_types import (
    DiskPath,
    FilePath,
    FilePattern,
    ImagePath,
    Part,
    RepoId,
    Revision,
    Seconds,
    Sha256,
    Slug,
)

DownloaderName = Literal["auto", "ranged", "hf_transfer", "xet", "hub"]
#: What a recipe may insist on, each a rule of `bundler.builder.hub.soundness.rules`.
Waiver = Literal["pickled-weights", "no-weights", "incomplete-parts"]


class Owner(Part):
    """Numeric owner of a model's files inside the image."""

    uid: int = Field(default=0, ge=0, le=2**31 - 1)
    gid: int = Field(default=0, ge=0, le=2**31 - 1)


class EndpointSource(Part):
    """A mirror that speaks the Hub's protocol."""

    endpoint: HttpUrl = Field(description="Address of the mirror.")


class GitSource(Part):
    """A git repository with Git LFS, of the Hub or any other server."""

    git: GitUrl = Field(description="Address of the repository.")


class DirectorySource(Part):
    """A directory on this host: the model's files, a Hub cache, or a git clone."""

    directory: DiskPath = Field(description="The directory, relative to the recipe or absolute.")


class UrlFile(Part):
    """One file at an address of its own."""

    path: FilePath = Field(description="Path of the file in the model.")
    url: HttpUrl = Field(description="Where it is read.")
    sha256: Sha256 = Field(description="Its digest, 64 hexadecimal digits.")


class UrlsSource(Part):
    """Plain addresses, each with the digest of what is to come from it."""

    urls: tuple[UrlFile, ...] = Field(min_length=1)


_KINDS = {"endpoint": "<endpoint>", "git": "<git>", "directory": "<directory>", "urls": "<urls>"}


def _kind_of_source(value: object) -> str | None:
    if value == "hub":
        return "<hub>"
    given = (
        set(value) if isinstance(value, Mapping) else set(type(value).model_fields) if isinstance(value, Part) else ()
    )
    found = [kind for key, kind in _KINDS.items() if key in given]
    return found[0] if len(found) == 1 else None


SourceSpec = Annotated[
    Union[
        Annotated[Literal["hub"], UnionTag("<hub>")],
        Annotated[EndpointSource, UnionTag("<endpoint>")],
        Annotated[GitSource, UnionTag("<git>")],
        Annotated[DirectorySource, UnionTag("<directory>")],
        Annotated[UrlsSource, UnionTag("<urls>")],
    ],
    Discriminator(
        _kind_of_source,
        custom_error_type="recipe",
        custom_error_message="{what}",
        custom_error_context={
            "what": "not a source of models",
            "remedy": "write `hub`, or one of { endpoint: URL }, { git: URL }, { directory: PATH }, { urls: [ … ] }",
        },
    ),
]


class ModelSpec(Part):
    """One model: a repo of the Hub at a revision, and the path at which it stands in the image."""

    name: Slug = Field(description="Short name, used in labels (<name>.model) and messages.")
    repo: RepoId = Field(description="Repo id on the Hub, OWNER/NAME.")
    revision: Revision = Field(default="main", description="Branch, tag or commit; the lock pins the commit.")
    path: ImagePath = Field(description="Absolute path in the image.")
    include: tuple[FilePattern, ...] = Field(default=(), description="Files to take; all, if nothing is said.")
    exclude: tuple[FilePattern, ...] = Field(default=(), description="Files to leave out of those.")
    layout: Literal["plain", "hub-cache"] = Field(
        default="plain", description="Files at the path, or a Hub cache there."
    )
    owner: Owner = Field(default=Owner(), description="Numeric owner of the files in the image.")
    sources: tuple[SourceSpec, ...] = Field(
        default=("hub",),
        min_length=1,
        description="Where it is looked for, in this order; the Hub, if nothing is said.",
    )
    require: tuple[FilePattern, ...] = Field(
        default=(), description="Patterns of which each must fit at least one file of the model."
    )
    min_size: ByteSize | None = Field(default=None, description="Least size of all files together, such as 4GB.")
    allow: tuple[Waiver, ...] = Field(default=(), description="Findings about the model that this recipe insists on.")


class DownloadSpec(Part):
    """How models are downloaded; options of the command line decide before it."""

    attempts: int | None = Field(default=None, ge=1, description="Attempts in a row that bring nothing.")
    first_delay_s: Seconds | None = Field(default=None, alias="first_delay", description="Pause after the first one.")
    longest_delay_s: Seconds | None = Field(default=None, alias="longest_delay", description="Longest pause.")
    deadline_s: Seconds | None = Field(default=None, alias="deadline", description="Longest time for a file.")
    timeout_s: Seconds | None = Field(default=None, alias="timeout", description="Longest wait for an answer.")
    stall: ByteRate | None = Field(default=None, description="Slower than this, a connection counts as stalled.")
    limit_rate: ByteRate | None = Field(default=None, description="All downloads together are no faster.")
    connections: int | None = Field(default=None, ge=1, le=64, description="Connections at once, all files together.")
    downloader: DownloaderName | None = Field(default=None, description="What brings large files.")
