"""Building images with the engine of this host: the OS image and the applications, without their models.

    engine = BuildEngine(connect(), work, "linux/amd64", options, progress)
    with engine.session(model_paths) as build:
        base = build.build(request_of(recipe, recipe.base, options), locked, {})
        app = build.build(request_of(recipe, recipe.apps[0], options), locked, {recipe.base.tag: base})
        exported = build.export([base, app], store)

Everything that a session makes has private tags (``engine_build.tags``) and is gone at its end; what the builder
keeps to be quick the next time stays.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from bundler.builder.dockerfile import SCRATCH
from bundler.builder.dockerfile_lines import DockerfileFault
from bundler.builder.engine_build.buildx import Buildx
from bundler.builder.engine_build.ca import private_files
from bundler.builder.engine_build.classic import Classic
from bundler.builder.engine_build.context import context_files, read_ignore
from bundler.builder.engine_build.export import ExportedImage, LayerStore, S, export_images
from bundler.builder.engine_build.features import replaced_syntax, require_features
from bundler.builder.engine_build.generated import Parents, generate
from bundler.builder.engine_build.looking import require_image
from bundler.builder.engine_build.outside import OutsideImages
from bundler.builder.engine_build.parents import Builder, ParentMaker, model_parents
from bundler.builder.engine_build.tags import OUTSIDE, PrivateTags, keep_as_cache, private_tags, tag_image
from bundler.builder.engine_build.values import (
    BuilderJob,
    BuilderKind,
    BuildOptions,
    BuildRequest,
    BuiltImage,
    PrivateParts,
    PrivateVariable,
    SecretSource,
)
from bundler.builder.lock import Lock, LockedImage
from bundler.builder.recipe import BuildSpec, Recipe
from bundler.builder.recipe_dockerfiles import read_dockerfile
from bundler.core.docker_api import EngineClient
from bundler.core.errors import BuildError, EngineError, PreconditionError, RecipeError
from bundler.core.progress import Progress
from bundler.core.reference import Reference

__all__ = [
    "BuildEngine",
    "BuildOptions",
    "BuildRequest",
    "BuildSession",
    "BuiltImage",
    "ExportedImage",
    "LayerStore",
    "PrivateParts",
    "PrivateVariable",
    "SecretSource",
    "request_of",
]

WHEELHOUSE = "wheelhouse"
_ARCHITECTURES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


@dataclass(frozen=True)
class BuilderChoice:
    """The builder that is used, its release (buildx only), the engine's, and a line that says so."""

    kind: BuilderKind
    engine_version: str
    told: str

    @property
    def engine_major(self) -> int:
        """First number of the engine's version."""
        found = re.match(r"\d+", self.engine_version)
        return int(found[0]) if found else 0


def request_of(recipe: Recipe, spec: BuildSpec, options: BuildOptions) -> BuildRequest:
    """The build that ``spec`` asks for, its Dockerfile read with all arguments; raises RecipeError."""
    args = {**spec.args, **options.args}
    try:
        dockerfile = read_dockerfile(recipe.directory, spec.dockerfile, args, recipe.platform)
    except DockerfileFault as error:
        problem = error.problem
        where = problem.where or str(recipe.path_of(spec.dockerfile))
        raise RecipeError(problem.what, where=where, remedy=problem.remedy) from error
    context = recipe.path_of(spec.context).resolve()
    path = recipe.path_of(spec.dockerfile)
    return BuildRequest(
        label=spec.tag.familiar,
        text=path.read_text(encoding="utf-8"),
        dockerfile=dockerfile,
        context=context,
        ignore=read_ignore(context, path),
        args=args,
        target=spec.target,
        platform=recipe.platform,
    )


class BuildEngine:
    """The engine as a builder for one platform. ``work`` is a directory for contexts and for the locks of builds."""

    def __init__(
        self, client: EngineClient, work: Path, platform: str, options: BuildOptions, progress: Progress
    ) -> None:
        self.client = client
        self.platform = platform
        self.options = options
        self._work = work
        self._progress = progress
        self._outside = OutsideImages(client, platform, progress)
        work.mkdir(parents=True, exist_ok=True)
        self._files = private_files(options.ca_bundle) if options.ca_bundle else {}
        if options.wheelhouse is not None and not options.wheelhouse.is_dir():
            raise PreconditionError(
                "the wheelhouse is not a directory", where=str(options.wheelhouse), remedy="name a directory of wheels"
            )
        self.choice, self._builder = self._choose()

    def _choose(self) -> tuple[BuilderChoice, Builder]:
        version = str(self.client.ask_json("GET", "/version").get("Version"))
        why = "as asked for"
        if self.options.builder != "classic":
            buildx = Buildx(self.client.address, self.options, self._work)
            found = buildx.probe()
            if not isinstance(found, str):
                release, platforms = found
                self._require_platform(platforms)
                return BuilderChoice("buildx", version, f"docker buildx {release} with Docker {version}"), buildx
            if self.options.builder == "buildx":
                raise PreconditionError(found, where=self.client.address, remedy="install it, or leave --builder away")
            why = found
        self._require_platform((self._own_platform(),))
        told = f"the classic builder of Docker {version} ({why})"
        return BuilderChoice("classic", version, told), Classic(self.client, self.options, self._work)

    def _own_platform(self) -> str:
        architecture = str(self.client.ask_json("GET", "/info").get("Architecture"))
        return f"linux/{_ARCHITECTURES.get(architecture, architecture)}"

    def _require_platform(self, platforms: Sequence[str]) -> None:
        if self.platform not in platforms:
            raise EngineError(
                f"the builder makes images for {', '.join(platforms)}, not for {self.platform}",
                where=self.client.address,
                remedy="build on a host of that platform, or install emulation (binfmt_misc, qemu-user-static)",
            )

    def resolve_from(self, asked: str, lock: Lock | None) -> LockedImage:
        """What identifies the image of a ``FROM``; it is in the engine afterwards."""
        return self._outside.resolve(asked, lock)

    def resolve_image(self, asked: str, lock: Lock | None) -> LockedImage:
        """What identifies one of ``images:`` that comes from this engine; take it with `BuildSession.outside`."""
        return self._outside.resolve(asked, lock, "image")

    def require_features(self, requests: Iterable[BuildRequest]) -> None:
        """Raise BuildError, by line, for what this builder lacks; nothing is built."""
        for request in requests:
            require_features(
                request.dockerfile, self.choice.kind, self.choice.engine_major, self.options.secrets, request.platform
            )

    @contextlib.contextmanager
    def session(self, model_paths: Iterable[PurePosixPath]) -> Iterator[BuildSession]:
        """A build with private tags of its own; removes them at the end, and what killed builds left before."""
        with private_tags(self.client, self._work) as tags:
            maker = ParentMaker(self.client, self._builder, self._files, self.platform, self._work)
            yield BuildSession(self, self._builder, maker, tags, model_parents(model_paths), self._progress)

    def take_outside(self, locked: LockedImage) -> str:
        """The engine's id of a locked image, pulled if it has to be."""
        return self._outside.take(locked).id


class BuildSession:
    """One build of all images of a recipe; made by `BuildEngine.session`."""

    def __init__(
        self,
        engine: BuildEngine,
        builder: Builder,
        maker: ParentMaker,
        tags: PrivateTags,
        directories: tuple[PurePosixPath, ...],
        progress: Progress,
    ) -> None:
        self._engine = engine
        self._builder = builder
        self._maker = maker
        self._tags = tags
        self._directories = directories
        self._progress = progress
        self._taken: dict[str, BuiltImage] = {}
        self._parents: dict[tuple[str, bool], BuiltImage | None] = {}

    @property
    def token(self) -> str:
        """What marks this session's containers, so that they are removed with it."""
        return self._tags.token

    def outside(self, locked: LockedImage) -> BuiltImage:
        """An image from outside under a private tag: a parent, or a base that needs no Dockerfile."""
        key = str(locked.value)
        if key not in self._taken:
            image_id, tag = self._engine.take_outside(locked), self._tags.new(OUTSIDE)
            tag_image(self._engine.client, image_id, tag)
            image = require_image(self._engine.client, tag)
            self._taken[key] = BuiltImage(tag, image.id, image.diff_ids, PrivateParts())
        return self._taken[key]

    def build(
        self, request: BuildRequest, locked: Iterable[LockedImage], bases: Mapping[Reference, BuiltImage]
    ) -> BuiltImage:
        """Build one image. ``locked`` are the images from outside, ``bases`` those that this session built, by tag.

        Raises BuildError, by line of the Dockerfile.
        """
        self._engine.require_features([request])
        syntax = replaced_syntax(request.dockerfile)
        if syntax and self._engine.choice.kind == "buildx":
            self._progress.note(f"{request.label}: the engine's own frontend is used in place of {syntax}")
        known = {each.asked: each for each in locked if each.role == "from"}
        parents, lineage = self._private_parents(request, known, bases)
        tag = self._tags.new("image")
        self._builder.build(self._job(request, parents, tag), self._progress)
        made = require_image(self._engine.client, tag)
        if self._engine.choice.kind == "classic":
            keep_as_cache(self._engine.client, tag, str(request.context), request.label)
        return BuiltImage(tag, made.id, made.diff_ids, lineage.private if lineage else PrivateParts())

    def _private_parents(
        self, request: BuildRequest, known: Mapping[str, LockedImage], bases: Mapping[Reference, BuiltImage]
    ) -> tuple[Parents, BuiltImage | None]:
        """Tags for every name of the Dockerfile, and the parent that the finished image stands on."""
        dockerfile = request.dockerfile
        final = dockerfile.stage(request.target)
        if final is None:
            raise BuildError(
                f"{dockerfile.name} has no stage {request.target!r}", where=dockerfile.name, remedy="correct `target:`"
            )
        origin = dockerfile.origin(final)
        lineage: BuiltImage | None = None
        stages: dict[int, str] = {}
        sources: dict[str, str] = {}
        names: dict[str, str] = {}
        for stage in dockerfile.stages:
            if stage.parent_stage is not None:
                continue
            below = stage.index == origin.index
            parent = self._parent(self._source(stage.parent, known, bases), stage.parent, below)
            lineage = parent if below else lineage
            stages[stage.index] = parent.tag if parent else SCRATCH
            names[stages[stage.index]] = stage.parent
        for each in dockerfile.outside:
            if each.keyword != "FROM":
                source = self._source(each.name, known, bases)
                sources[each.name] = source.tag if source else SCRATCH
                names[sources[each.name]] = each.name
        return Parents(stages, sources, names), lineage

    def _source(
        self, name: str, known: Mapping[str, LockedImage], bases: Mapping[Reference, BuiltImage]
    ) -> BuiltImage | None:
        if name == SCRATCH:
            return None
        base = bases.get(Reference.parse(name).tagged())
        return base if base else self.outside(known[name])

    def _parent(self, source: BuiltImage | None, name: str, with_skeleton: bool) -> BuiltImage | None:
        key = (source.tag if source else name, with_skeleton)
        if key not in self._parents:
            directories = self._directories if with_skeleton else ()
            made = self._maker.make(source, directories, self._tags.new("parent"), self._tags.token)
            self._parents[key] = made
        return self._parents[key]

    def _job(self, request: BuildRequest, parents: Parents, tag: str) -> BuilderJob:
        wheelhouse = self._engine.options.wheelhouse
        return BuilderJob(
            label=request.label,
            dockerfile_name=request.dockerfile.name.rpartition("/")[2],
            dockerfile=generate(request.text, request.dockerfile, parents),
            context=request.context,
            files=context_files(request.context, request.ignore),
            extra={WHEELHOUSE: wheelhouse} if wheelhouse else {},
            args=request.args,
            target=request.target,
            platform=request.platform,
            tag=tag,
            names={**parents.names, tag: request.label},
            shown=request.dockerfile,
        )

    def size_to_pack(self, base: BuiltImage, apps: Sequence[BuiltImage], store: LayerStore[S]) -> int:
        """Plain bytes of what the images hold and ``store`` does not, as the engine counts them."""
        below = require_image(self._engine.client, base.tag).size
        total = 0 if _all_held(base, store) else below
        for app in apps:
            size = require_image(self._engine.client, app.tag).size
            total += 0 if _all_held(app, store) else max(size - below, 0)
        return total

    def export(self, images: Sequence[BuiltImage], store: LayerStore[S]) -> tuple[ExportedImage[S], ...]:
        """Config and layers of ``images``, all in one save of the engine, each layer once."""
        wanted = {image.tag: image.diff_ids for image in images}
        return export_images(self._engine.client, wanted, store, self._progress)


def _all_held(image: BuiltImage, store: LayerStore[S]) -> bool:
    return all(store.find(diff_id) is not None for diff_id in image.diff_ids)
