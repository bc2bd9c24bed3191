"""Bringing images into an engine, layer by layer, nameless, and with what the engine holds left out.

Each layer is checked against its blob digest and diff_id while it streams, and its last bytes are only sent once they
are right. Every step stands as an image of its own, a prefix, until the next one does; so a run that was cut off is
taken up at the layer where it stopped, and temporary space is that of one layer.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import BinaryIO, Optional, cast

from bundler.core.bundle import VerifiedBundle
from bundler.core.digest import CHUNK_BYTES, Digest
from bundler.core.layout import blob_name
from bundler.core.oci import Image, Layer
from bundler.core.progress import ObservedReader, Progress
from bundler.installer.engine import GRAPH, Engine
from bundler.installer.journal import Journal
from bundler.installer.plan import Plan


def load_images(
    bundle: VerifiedBundle, engine: Engine, plan: Plan, journal: Journal, progress: Progress
) -> frozenset[Digest]:
    """Make every image of the bundle stand, without a name. Gives the blobs that were read and sent.

    Raises BundleError for a layer that is not what it should be, EngineError where the engine does not take it.
    """
    journal.claim(engine.id_of(image.prefix(count)) for image in bundle.images for count in _counts(image))
    sent: set[Digest] = set()
    for image in bundle.images:
        sent |= _load_image(image, bundle, engine, plan.facts.store, plan.vouched | sent, journal, progress)
    return frozenset(sent)


def _counts(image: Image) -> range:
    return range(1, len(image.layers) + 1)


def _load_image(
    image: Image,
    bundle: VerifiedBundle,
    engine: Engine,
    store: str,
    vouched: frozenset[Digest],
    journal: Journal,
    progress: Progress,
) -> set[Digest]:
    known = vouched | journal.standing_blobs
    held = engine.held(image, known)
    sent: set[Digest] = set()
    if held == len(image.layers):
        if engine.find(engine.id_of(image)) is None:
            _stand(image, None, engine, journal)
        return sent
    before: Optional[Digest] = None
    for count in range(held + 1, len(image.layers) + 1):
        prefix = image.prefix(count)
        if store != GRAPH and prefix.layers[-1].blob.digest in known:
            # Such a store knows a blob wherever it stands; a graph driver would miss the chain below it.
            _stand(prefix, None, engine, journal)
        else:
            _send(prefix, _label(image, count), bundle, engine, store, journal, progress)
            sent.add(prefix.layers[-1].blob.digest)
        if before is not None:
            journal.forget_image(before)
        before = engine.id_of(prefix)
    return sent


def _send(
    prefix: Image, label: str, bundle: VerifiedBundle, engine: Engine, store: str, journal: Journal, progress: Progress
) -> None:
    """Make ``prefix`` stand by sending its topmost layer, which is checked on the way."""
    layer = prefix.layers[-1]
    with _open(bundle, layer, store) as stream, progress.task(label, _stream_size(layer, store)) as task:
        _stand(prefix, cast("BinaryIO", ObservedReader(stream, task)), engine, journal)


def _stand(prefix: Image, stream: Optional[BinaryIO], engine: Engine, journal: Journal) -> None:
    image_id = engine.id_of(prefix)
    journal.begin_image(image_id)
    engine.load_layer(prefix, stream)
    journal.image_stands(image_id, (layer.blob.digest for layer in prefix.layers))


def _open(bundle: VerifiedBundle, layer: Layer, store: str) -> BinaryIO:
    return bundle.open_plain_layer(layer) if store == GRAPH else bundle.open_stored_layer(layer)


def _stream_size(layer: Layer, store: str) -> int:
    return layer.uncompressed_size if store == GRAPH else layer.blob.size


def _label(image: Image, count: int) -> str:
    layer = image.layers[count - 1]
    return f"{image.reference.familiar} {count}/{len(image.layers)} {layer.model or layer.kind}"


def unread_layers(bundle: VerifiedBundle, sent: Iterable[Digest]) -> tuple[Layer, ...]:
    """The layers, each once, that were not read because the engine holds them."""
    read = frozenset(sent)
    layers = {layer.blob.digest: layer for image in bundle.images for layer in image.layers}
    return tuple(layer for digest, layer in layers.items() if digest not in read)


def read_layers(bundle: VerifiedBundle, layers: Iterable[Layer], progress: Progress) -> None:
    """Read layers to nowhere; raises BundleError for one that is not what it should be."""
    for layer in layers:
        with bundle.open_plain_layer(layer) as stream, progress.task(_member(layer), layer.uncompressed_size) as task:
            while chunk := stream.read(CHUNK_BYTES):
                task.advance(len(chunk))


def _member(layer: Layer) -> str:
    return f"{layer.model or layer.kind} {blob_name(layer.blob.digest)[:24]}"
