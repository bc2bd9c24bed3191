"""The bundle out of its parts: models straight into the tar, the engine's layers on top, images of others beside.

The canonical order makes it one pass: the models are the lowest layers of the first image, so they are written first
and known when the first config is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bundler.builder.compose import Foundation, PlacedModel, Release, compose_app, compose_base, require_few
from bundler.builder.compress import Compression, Sink, compress_chunks
from bundler.builder.describe import FinishedImage, describe_bundle, describe_model
from bundler.builder.engine_part import EnginePart
from bundler.builder.hub.fetch import Snapshot
from bundler.builder.layer import ChangedFileError, Entry, layer_chunks, with_parents
from bundler.builder.lock import Lock, LockedFile, LockedModel
from bundler.builder.model_tree import ModelTree, TreeFile, hub_cache_tree, model_entries
from bundler.builder.payload import payload_of
from bundler.builder.recipe import Recipe
from bundler.builder.recipe_models import ModelSpec
from bundler.builder.stack import own_steps
from bundler.builder.staged_blobs import StagedBlob
from bundler.builder.writer import BundleWriter
from bundler.core.bundle_manifest import BundleManifest
from bundler.core.digest import Digest
from bundler.core.errors import BuildError, Problem, RecipeError
from bundler.core.oci import Image, Layer
from bundler.core.progress import Progress


@dataclass(frozen=True)
class LocalModel:
    """A model that is here: what the recipe says, what was locked, and the tree that its layer holds."""

    spec: ModelSpec
    snapshot: Snapshot
    tree: ModelTree


def require_storable(recipe: Recipe, lock: Lock) -> None:
    """Raise BuildError for what of the locked models cannot stand in an image as the recipe wants it.

    That is every file whose name cannot stand in a layer, such as ``.wh.x``, and a Hub cache without a commit.
    """
    problems = []
    for spec, locked in zip(recipe.models, lock.models, strict=True):
        if spec.layout == "hub-cache":
            _commit_of(locked)
        for file in locked.files:
            try:
                with_parents([Entry(f"{spec.path}/{file.path}".lstrip("/"))])
            except BuildError as error:
                problems.append(Problem(f"model {spec.name}, {locked.told}", error.what))
    if problems:
        raise BuildError(
            "models hold files that cannot stand in an image",
            where=problems[0].where,
            remedy="leave them out with `exclude:` in the recipe",
            problems=problems,
        )


def _commit_of(model: LockedModel) -> str:
    """The commit that a Hub cache is made for; raises BuildError for a model that has none."""
    if model.commit is None:
        raise BuildError(
            f"model {model.name} has no commit, and a Hub cache is made for one",
            where=model.told,
            remedy="write `layout: plain`, or give it a source that knows commits: the Hub, a mirror or git",
        )
    return model.commit


def local_model(spec: ModelSpec, snapshot: Snapshot) -> LocalModel:
    """The snapshot laid out as the recipe says."""
    return LocalModel(spec, snapshot, _tree(spec, snapshot.model, snapshot.path))


def locked_tree(spec: ModelSpec, locked: LockedModel) -> ModelTree:
    """The tree of a model that need not be here: its files by path, size and sha256, not to be read.

    Raises RecipeError where the lock does not know a file's sha256 yet.
    """
    if any(file.sha256 is None for file in locked.files):
        raise RecipeError(
            f"the lock does not know the sha256 of every file of model {spec.name}",
            where=locked.told,
            remedy="run `bundler fetch` or `bundler build` for the recipe: they write them into the lock",
        )
    return _tree(spec, locked, lambda _: b"")


def _tree(spec: ModelSpec, locked: LockedModel, source: Callable[[LockedFile], Path | bytes]) -> ModelTree:
    files = tuple(TreeFile(file.path, file.size, Digest(str(file.sha256)), source(file)) for file in locked.files)
    tree = ModelTree(spec.name, spec.path, spec.owner.uid, spec.owner.gid, files)
    if spec.layout == "hub-cache":
        return hub_cache_tree(tree, locked.repo_id, _commit_of(locked), [locked.revision])
    return tree


def require_composable(part: EnginePart, recipe: Recipe) -> None:
    """Raise BuildError, before a byte is written, for an app that does not stand on the base or has too many layers."""
    below = ["model"] * len(recipe.models) + ["os"] * len(part.base.layers) + ["derived"] * (part.derived is not None)
    require_few(part.base.name, below)
    for app in part.apps:
        own = own_steps(app, part.base)
        require_few(app.name, [*below, *("app" for step in own if step.layer is not None)])


class Assembly:
    """One bundle while it is written."""

    def __init__(
        self, recipe: Recipe, part: EnginePart, created: str, compression: Compression, progress: Progress
    ) -> None:
        self._recipe = recipe
        self._part = part
        self._created = created
        self._compression = compression
        self._progress = progress

    def write(self, writer: BundleWriter, models: Sequence[LocalModel]) -> BundleManifest:
        """Write the whole tar; gives what its ``bundle.json`` says."""
        placed = tuple(self._write_model(writer, model) for model in models)
        finished = [*self._ours(placed), *self._others()]
        files = self._files()
        for item in finished:
            self._write_image(writer, item.image, files)
        payload = [writer.add_payload(str(file.path), file.source) for file in payload_of(self._recipe)]
        described = [describe_model(model.spec, model.snapshot.model, model.tree) for model in models]
        manifest = describe_bundle(self._recipe, described, finished, payload, self._created)
        writer.finish(manifest, [item.image for item in finished])
        return manifest

    def _write_model(self, writer: BundleWriter, model: LocalModel) -> PlacedModel:
        entries = model_entries(model.tree)
        with self._progress.task(f"model {model.spec.name}", model.tree.size) as task:

            def produce(sink: Sink) -> Layer:
                chunks = layer_chunks(entries, task.advance)
                return compress_chunks(chunks, sink, self._compression).layer("model", model.spec.name)

            try:
                layer = writer.add_blob_stream(produce)
            except ChangedFileError as error:
                error.discard()
                raise
        return PlacedModel(layer, model.spec.name, model.snapshot.model.told, model.tree.path)

    def _ours(self, placed: tuple[PlacedModel, ...]) -> Iterator[FinishedImage]:
        recipe, part = self._recipe, self._part
        cache = next((model.path for model in recipe.models if model.layout == "hub-cache"), None)
        derived = part.derived.compressed.layer("derived") if part.derived else None
        foundation = Foundation(placed, part.base, derived, cache)
        release = Release(
            recipe.name, recipe.version, recipe.platform, self._created, recipe.labels, recipe.environment
        )
        names = tuple(model.name for model in placed)
        yield FinishedImage(compose_base(recipe.base.tag, foundation, release), "base", names)
        for spec, app in zip(recipe.apps, part.apps, strict=True):
            yield FinishedImage(compose_app(spec.tag, app, foundation, release), "app", names)

    def _others(self) -> Iterator[FinishedImage]:
        for taken in self._part.others:
            yield FinishedImage(taken.image, "foreign", (), taken.manifest)

    def _files(self) -> dict[Digest, Path]:
        """Where each packed layer stands, by the digest of its blob."""
        packed: Iterable[StagedBlob] = self._part.packed.values()
        derived = [self._part.derived] if self._part.derived else []
        ours = {blob.compressed.blob.digest: blob.path for blob in (*packed, *derived)}
        return {digest: path for taken in self._part.others for digest, path in taken.blobs.items()} | ours

    def _write_image(self, writer: BundleWriter, image: Image, files: Mapping[Digest, Path]) -> None:
        for layer in image.layers:
            if not writer.holds(layer.blob.digest):
                label = f"{layer.kind} layer of {image.reference.familiar}"
                with self._progress.task(label, layer.blob.size) as task:
                    writer.add_blob_file(files[layer.blob.digest], layer.blob, task)
        writer.add_blob(image.config)
        writer.add_blob(image.manifest)


def packed_size(part: EnginePart) -> int:
    """Bytes of all packed layers of the engine and of others."""
    ours = sum(blob.compressed.blob.size for blob in part.packed.values())
    derived = part.derived.compressed.blob.size if part.derived else 0
    others = {layer.blob.digest: layer.blob.size for taken in part.others for layer in taken.image.layers}
    return ours + derived + sum(others.values())


def plain_size(part: EnginePart) -> int:
    """Bytes of the same layers unpacked, as an engine stores them."""
    ours = sum(blob.compressed.uncompressed_size for blob in part.packed.values())
    derived = part.derived.compressed.uncompressed_size if part.derived else 0
    others = {layer.diff_id: layer.uncompressed_size for taken in part.others for layer in taken.image.layers}
    return ours + derived + sum(others.values())
