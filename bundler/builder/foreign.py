"""Images of others that travel beside ours: from a registry, an OCI layout, a ``docker save`` file or the engine.

From a registry or a layout, manifest, config and blobs stay byte for byte, so the digest is the one that was
approved (`ForeignImage`). A ``docker save`` file and the engine know no manifest: there the config survives, and the
layers go through the caller's store like those of a build (`ExportedImage`, `image_over`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol, cast

from bundler.builder.engine_build.export import ExportedImage, LayerStore, S, read_save
from bundler.builder.foreign_layout import Layout, chosen_descriptor
from bundler.builder.lock import LockedImage
from bundler.core.atomic import atomic_file
from bundler.core.digest import CHUNK_BYTES, Digest
from bundler.core.errors import BundleError, EngineError, PreconditionError, RecipeError
from bundler.core.oci import Descriptor, Image, Layer, config_platform, parse_object, render_manifest
from bundler.core.progress import ObservedReader, Progress, Task
from bundler.core.readers import CheckedReader, decompress
from bundler.core.reference import Reference
from bundler.core.registry import INDEX_TYPES, MANIFEST_TYPES, FetchedManifest, Registry

_LAYER_KIND = "foreign"


@dataclass(frozen=True)
class ForeignImage:
    """An image as its source has it: ``image`` with the original bytes, and each blob of a layer as a file."""

    image: Image
    locked: LockedImage
    blobs: Mapping[Digest, Path]


class ImageSource(Protocol):
    """Where manifests and blobs come from."""

    @property
    def where(self) -> str:
        """Its name, for messages."""

    def manifest(self, digest: Digest) -> FetchedManifest:
        """The manifest or index of that digest."""

    def open_blob(self, blob: Descriptor) -> BinaryIO:
        """The blob; reading it to its end without an error proves that it is the right one."""


@dataclass(frozen=True)
class Wanted:
    """Which image: as the recipe writes it, the name that it gets, and the recipe's platform."""

    asked: str
    name: Reference
    platform: str

    @property
    def reference(self) -> Reference:
        """The image at its source."""
        return Reference.parse(self.asked).tagged()


class _RegistrySource:
    """One repository of a registry."""

    def __init__(self, registry: Registry, path: str) -> None:
        self._registry = registry
        self._path = path
        self.where = f"{registry.host}/{path}"

    def manifest(self, digest: Digest) -> FetchedManifest:
        return self._registry.manifest(self._path, str(digest))

    def open_blob(self, blob: Descriptor) -> BinaryIO:
        return self._registry.open_blob(self._path, blob)


def from_registry(
    registry: Registry, wanted: Wanted, locked: LockedImage | None, blobs: Path, progress: Progress
) -> ForeignImage:
    """The image out of its registry, by the lock's digest where there is one; ``blobs`` is the directory for layers.

    Raises EngineError where the registry or what it gives is not right.
    """
    reference = wanted.reference
    source = _RegistrySource(registry, reference.path)
    top = locked.value if locked else reference.digest
    with _of_the_source(source.where):
        found = registry.manifest(reference.path, str(top) if top else str(reference.tag))
        identity = LockedImage(role="image", asked=wanted.asked, kind="registry-digest", value=found.digest)
        _require_locked(identity, locked, source.where)
        return _assemble(source, found, wanted, identity, blobs, progress)


def from_layout(
    path: Path, wanted: Wanted, locked: LockedImage | None, blobs: Path, progress: Progress
) -> ForeignImage:
    """The image out of an OCI layout, a directory or a tar; raises RecipeError where the lock names another one."""
    with _of_the_source(str(path)), Layout(path) as layout:
        descriptor = chosen_descriptor(layout, wanted.reference)
        identity = LockedImage(role="image", asked=wanted.asked, kind="layout-digest", value=descriptor.digest)
        _require_locked(identity, locked, str(path))
        return _assemble(layout, layout.manifest(descriptor.digest), wanted, identity, blobs, progress)


def from_docker_archive(
    path: Path, wanted: Wanted, locked: LockedImage | None, store: LayerStore[S], progress: Progress
) -> tuple[ExportedImage[S], LockedImage]:
    """The image out of a ``docker save`` file, compressed or not; raises RecipeError where the lock names another."""
    try:
        with (
            _of_the_source(str(path)),
            path.open("rb") as file,
            progress.task(wanted.name.familiar, path.stat().st_size) as task,
        ):
            stream = cast("BinaryIO", ObservedReader(file, task))
            images = read_save(stream, (), frozenset(), store, str(path), mode="r|*")
            while stream.read(CHUNK_BYTES):  # what pads the file after the end of the archive
                pass
    except OSError as error:
        raise _unreadable(path, error) from error
    chosen = _named(images, wanted.reference, str(path))
    identity = LockedImage(role="image", asked=wanted.asked, kind="image-id", value=Digest.of(chosen.config))
    _require_locked(identity, locked, str(path))
    _require_platform(chosen.config, wanted, str(path))
    return chosen, identity


def image_over(exported: ExportedImage[S], name: Reference, layer_of: Callable[[S], Layer]) -> Image:
    """An image whose config survives and whose manifest is ours, over the layers as they are stored."""
    layers = tuple(layer_of(each) for each in exported.layers)
    return Image(name, exported.config, render_manifest(exported.config, layers), layers)


@contextmanager
def _of_the_source(where: str) -> Iterator[None]:
    """Readers of the core speak of bundles; here it is the source of an image that is damaged."""
    try:
        yield
    except BundleError as error:
        remedy = "take the image from its source once more, or from another one"
        raise EngineError(error.what, where=error.where or where, remedy=remedy) from error


def _assemble(
    source: ImageSource,
    top: FetchedManifest,
    wanted: Wanted,
    locked: LockedImage,
    blobs: Path,
    progress: Progress,
) -> ForeignImage:
    found = _for_platform(source, top, wanted)
    try:
        document = parse_object(found.content, source.where)
        config = _descriptor(document["config"])
        layers = [_descriptor(each) for each in document["layers"]]
        content = _read_config(source, config)
        diff_ids = [Digest.parse(each) for each in parse_object(content, source.where)["rootfs"]["diff_ids"]]
    except (KeyError, TypeError, ValueError) as error:
        raise _refused(f"its manifest or config is not as expected: {error}", source.where, wanted) from error
    _require_platform(content, wanted, source.where)
    if len(layers) != len(diff_ids):
        raise _refused(f"{len(layers)} layers, but {len(diff_ids)} diff_ids", source.where, wanted)
    size = sum(layer.size for layer in layers)
    with progress.task(wanted.name.familiar, size) as task:
        for blob in layers:
            _keep(source, blob, blob_path(blobs, blob.digest), task)
    with progress.task(f"unpack {wanted.name.familiar}", size) as task:
        pairs = zip(layers, diff_ids, strict=True)
        kept = [_measured(source, blob, diff_id, blob_path(blobs, blob.digest), task) for blob, diff_id in pairs]
    image = Image(wanted.name, content, found.content, tuple(kept))
    return ForeignImage(image, locked, {layer.blob.digest: blob_path(blobs, layer.blob.digest) for layer in kept})


def _for_platform(source: ImageSource, found: FetchedManifest, wanted: Wanted) -> FetchedManifest:
    """The manifest itself, or the one of an index that is for the platform."""
    if found.media_type in MANIFEST_TYPES:
        return found
    entries = parse_object(found.content, source.where).get("manifests") or []
    system, _, architecture = wanted.platform.partition("/")
    for entry in entries:
        platform = entry.get("platform") or {}
        if (platform.get("os"), platform.get("architecture")) == (system, architecture):
            chosen = source.manifest(_descriptor(entry).digest)
            return chosen if chosen.media_type in MANIFEST_TYPES else _for_platform(source, chosen, wanted)
    if len(entries) == 1 and entries[0].get("mediaType") in (*MANIFEST_TYPES, *INDEX_TYPES):
        return _for_platform(source, source.manifest(_descriptor(entries[0]).digest), wanted)
    raise _refused(f"there is none for {wanted.platform}", source.where, wanted)


def _descriptor(value: dict[str, Any]) -> Descriptor:
    return Descriptor(str(value["mediaType"]), Digest.parse(value["digest"]), int(value["size"]))


def _read_config(source: ImageSource, config: Descriptor) -> bytes:
    if config.size > (4 << 20):
        raise ValueError(f"a config of {config.size} bytes")
    with source.open_blob(config) as stream:
        return stream.read()


def blob_path(blobs: Path, digest: Digest) -> Path:
    """Where the blob of a layer is kept."""
    return blobs / digest.hex


def _keep(source: ImageSource, blob: Descriptor, path: Path, task: Task) -> None:
    """Keep the blob, checked, in ``path``."""
    if _is_whole(path, blob):
        task.advance(blob.size)
        return
    with source.open_blob(blob) as stream, atomic_file(path) as target:
        while chunk := stream.read(CHUNK_BYTES):
            target.write(chunk)
            task.advance(len(chunk))


def _measured(source: ImageSource, blob: Descriptor, diff_id: Digest, path: Path, task: Task) -> Layer:
    """The layer that the blob unpacks to, compared with the config's diff_id."""
    where = f"{source.where}, layer {blob.digest}"
    with path.open("rb") as file:
        stream = cast("BinaryIO", ObservedReader(file, task))
        digest, size = _measure(decompress(blob.media_type, stream, where))
    if digest != diff_id:
        raise EngineError(
            f"the layer unpacks to {digest}, the config names {diff_id}",
            where=where,
            remedy="take the image from another source: this one contradicts itself",
        )
    return Layer(diff_id, size, blob, _LAYER_KIND)


def _is_whole(path: Path, blob: Descriptor) -> bool:
    """Whether an earlier run kept the blob; read again, because a disk may have changed it."""
    if not path.exists():
        return False
    try:
        with path.open("rb") as stream:
            checked = cast("BinaryIO", CheckedReader(stream, blob.digest, blob.size, str(path)))
            while checked.read(CHUNK_BYTES):
                pass
    except BundleError:
        return False
    return True


def _measure(stream: BinaryIO) -> tuple[Digest, int]:
    counted = _Counted(stream)
    return Digest.of_stream(cast("BinaryIO", counted)), counted.size


class _Counted:
    """A stream that counts what is read."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.size = 0

    def read(self, size: int = -1) -> bytes:
        """Read from the stream beneath."""
        chunk = self._stream.read(size)
        self.size += len(chunk)
        return chunk


def _named(images: Sequence[ExportedImage[S]], reference: Reference, where: str) -> ExportedImage[S]:
    """The image of that name; the only one, whatever its name, where there is one alone."""
    for image in images:
        if image.name and Reference.parse(image.name).tagged() == reference.without_digest():
            return image
    if len(images) == 1:
        return images[0]
    names = ", ".join(image.name for image in images if image.name) or "none has a name"
    raise RecipeError(f"{reference.familiar} is not in the file", where=where, remedy=f"images there: {names}")


def _require_locked(found: LockedImage, locked: LockedImage | None, where: str) -> None:
    if locked is not None and locked != found:
        raise RecipeError(
            f"{found.asked} is {found.value} there, and {locked.value} in the lock",
            where=where,
            remedy="put the former file back, or accept this one: `bundler lock RECIPE --upgrade`",
        )


def _require_platform(config: bytes, wanted: Wanted, where: str) -> None:
    platform = config_platform(parse_object(config, where))
    if platform.split("/")[:2] != wanted.platform.split("/")[:2]:
        raise EngineError(
            f"{wanted.asked} is for {platform or 'no platform'}, the recipe for {wanted.platform}",
            where=where,
            remedy="take the image for the recipe's platform, or change `platform:`",
        )


def _unreadable(path: Path, error: OSError) -> PreconditionError:
    return PreconditionError(
        f"the image's file cannot be read: {error.strerror}", where=str(path), remedy="correct `path:` in the recipe"
    )


def _refused(what: str, where: str, wanted: Wanted) -> EngineError:
    return EngineError(f"{wanted.asked}: {what}", where=where, remedy="take the image from another source")
