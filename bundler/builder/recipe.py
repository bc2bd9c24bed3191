"""What is wanted: a recipe as typed, frozen values. The same models make the JSON Schema of ``docs/recipe.schema.json``.

`bundler.builder.recipe_file.load_recipe` is the way to get one; nothing here reads a file. Field names are the keys
of ``recipe.yaml`` but for two: ``from`` is ``source`` here, and ``within`` is ``within_s``, in seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Union

from pydantic import Discriminator, Field, model_validator
from pydantic import Tag as UnionTag

from bundler.builder.recipe_checks import CheckSpec
from bundler.builder.recipe_models import DownloadSpec, ModelSpec
from bundler.builder.recipe_types import (
    Command,
    DiskPath,
    FilePath,
    FilePattern,
    FormatNumber,
    ImageName,
    ImagePath,
    Part,
    RecipePath,
    SecretId,
    Slug,
    Tag,
    Text,
    UserName,
    VariableName,
    Version,
    fault,
)
from bundler.core.reference import Reference

FORMAT = 1
RECIPE_FILE = "recipe.yaml"

Location = tuple[Union[str, int], ...]
"""Where a value stands in the file: keys and positions from the outermost, such as ``("models", 0, "path")``."""


class ModelValue(Part):
    """A text that stands in a model: the value of one key of a JSON file of its."""

    model: Slug = Field(description="A name of `models:`.")
    file: FilePath = Field(description="The JSON file in the model, such as config.json.")
    key: Text = Field(description="A key of its outermost object.")


class BuildSpec(Part):
    """An image that the engine builds from a Dockerfile. Paths are relative to the recipe's directory."""

    dockerfile: RecipePath = Field(description="Dockerfile, relative to the recipe.")
    tag: Tag = Field(description="NAME:TAG of the finished image.")
    context: RecipePath = Field(default=".", description="Build context, relative to the recipe.")
    args: dict[VariableName, str] = Field(default_factory=dict, description="Build arguments.")
    args_from: dict[VariableName, ModelValue] = Field(
        default_factory=dict, description="Build arguments whose values are read from models."
    )
    target: Text | None = Field(default=None, description="Stage to build; the last one, if nothing is said.")


class ImageBase(Part):
    """A base that needs no Dockerfile: an image that exists already, which gets the models and a tag."""

    image: ImageName = Field(description="Image to take as the operating system, NAME:TAG or NAME@sha256:….")
    tag: Tag = Field(description="NAME:TAG of the finished base image.")


class PrepareSpec(Part):
    """A command over OS and models, without a network, whose output paths become a layer."""

    name: Slug
    run: Command = Field(description="A shell line, or a list of a program and its arguments.")
    outputs: tuple[ImagePath, ...] = Field(min_length=1, description="Absolute paths that the command writes.")
    env: dict[VariableName, str] = Field(default_factory=dict)
    user: UserName | None = Field(default=None, description="USER[:GROUP]; the image's user, if nothing is said.")


class ImageSpec(Part):
    """An image of somebody else that runs beside ours; from a registry or a layout it travels byte for byte."""

    image: ImageName = Field(description="NAME:TAG or NAME@sha256:….")
    source: Literal["registry", "engine", "oci-layout", "docker-archive"] = Field(alias="from")
    path: DiskPath | None = Field(default=None, description="The layout or archive, relative to the recipe.")
    tag: Tag | None = Field(default=None, description="NAME:TAG that it gets on the isolated host.")

    @model_validator(mode="after")
    def _path_goes_with_source(self) -> ImageSpec:
        from_disk = self.source in ("oci-layout", "docker-archive")
        if from_disk and self.path is None:
            raise fault(f"`from: {self.source}` has no path", "add `path:` with the layout or archive")
        if not from_disk and self.path is not None:
            raise fault(f"`from: {self.source}` has a path", "remove `path:`, or say oci-layout or docker-archive")
        if self.tag is None and Reference.parse(self.image).tagged().tag is None:
            raise fault(f"{self.image!r} has a digest and no tag", "add `tag: NAME:TAG`, the name on the isolated host")
        return self

    @property
    def reference(self) -> Reference:
        """The image as asked for at its source."""
        return Reference.parse(self.image).tagged()

    @property
    def name(self) -> Reference:
        """The name that it gets on the isolated host."""
        return self.tag or self.reference.without_digest()


def _kind_of_base(value: object) -> str:
    names_image = isinstance(value, ImageBase) or (isinstance(value, Mapping) and "image" in value)
    return "<image>" if names_image else "<build>"


BaseSpec = Annotated[
    Union[Annotated[BuildSpec, UnionTag("<build>")], Annotated[ImageBase, UnionTag("<image>")]],
    Discriminator(_kind_of_base),
]


class RecipeDocument(Part):
    """What stands in ``recipe.yaml``."""

    format: FormatNumber = Field(description="Version of the recipe's form.")
    name: Slug = Field(description="Name of the bundle.")
    version: Version = Field(description="Version of the bundle, in quotes where YAML would see a number.")
    platform: Literal["linux/amd64", "linux/arm64"]
    models: tuple[ModelSpec, ...] = Field(
        default=(), description="Lowest layers first: the largest, most stable model."
    )
    base: BaseSpec = Field(description="Operating system and runtime: a Dockerfile, or an image that exists.")
    prepare: tuple[PrepareSpec, ...] = Field(default=(), description="What is computed from the models, offline.")
    apps: tuple[BuildSpec, ...] = Field(default=(), description="Images FROM the base tag.")
    images: tuple[ImageSpec, ...] = Field(default=(), description="Images of others that run beside.")
    files: tuple[FilePattern, ...] = Field(default=(), description="Files or patterns that travel as they are.")
    checks: tuple[CheckSpec, ...] = Field(default=(), description="What the installed images must show, offline.")
    environment: dict[VariableName, str] = Field(default_factory=dict, description="Variables of our images.")
    labels: dict[Text, str] = Field(default_factory=dict, description="Labels of our images.")
    download: DownloadSpec = Field(default=DownloadSpec(), description="How models are downloaded.")
    accept_licences: tuple[Text, ...] = Field(
        default=(), description="Ids of licences with conditions that were read and are accepted."
    )
    secrets: tuple[SecretId, ...] = Field(default=(), description="Ids of build secrets that the Dockerfiles mount.")


class Recipe(RecipeDocument):
    """A recipe that was read and found right, with the directory that it stands in."""

    directory: Path
    lines: dict[Location, int] = Field(default_factory=dict, repr=False)
    """First line of each value in the file; empty for a recipe that was not read from one."""

    @property
    def file(self) -> Path:
        """The recipe's own file."""
        return self.directory / RECIPE_FILE

    def where(self, *location: str | int) -> str:
        """``recipe.yaml:LINE`` of the value at ``location``, or of the nearest one around it."""
        for end in range(len(location), -1, -1):
            if location[:end] in self.lines:
                return f"{RECIPE_FILE}:{self.lines[location[:end]]}"
        return RECIPE_FILE

    def path_of(self, relative: str) -> Path:
        """A path of the recipe (Dockerfile, context, archive) on disk."""
        return self.directory / relative
