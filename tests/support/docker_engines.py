"""Loading handmade layers into real engines, and layers that fail on the way."""

from __future__ import annotations

import io
from typing import BinaryIO

from bundler.core.digest import Digest
from bundler.core.oci import Image
from bundler.core.readers import Reader
from bundler.installer.engines.docker import DockerEngine
from testbed.engines import RunningEngine
from tests.support.handmade import HandLayer


def ids_of(running: RunningEngine) -> set[str]:
    return set(running.docker("images", "--all", "--quiet", "--no-trunc").split())


def load(engine: DockerEngine, image: Image, layers: list[HandLayer], since: int = 0) -> Digest:
    """Load all layers from the one of that number on."""
    store = engine.facts().store
    for number in range(since, len(layers)):
        with layers[number].open(store) as stream:
            image_id = engine.load_layer(image.prefix(number + 1), stream)
    return image_id


def raw(engine: DockerEngine, layer: HandLayer) -> BinaryIO:
    """The layer as the engine's store takes it, unchecked."""
    return io.BytesIO(layer.bytes_for(engine.facts().store))


class Failing(Reader):
    """Gives a part of a layer, spoiled from its first byte on, and then finds that out."""

    def __init__(self, content: bytes, size: int, error: BaseException) -> None:
        super().__init__()
        self._pieces = [bytes([content[0] ^ 1]) + content[1:1000], content[1000:size]]
        self._error = error

    def next_chunk(self) -> bytes:
        if self._pieces:
            return self._pieces.pop(0)
        raise self._error
