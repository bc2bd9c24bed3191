"""What an install has to send to an engine, and the space that it takes there. Values only; nothing is changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from bundler.core.digest import Digest
from bundler.core.oci import Image, Layer
from bundler.installer.engine import GRAPH, Engine, EngineFacts


@dataclass(frozen=True)
class Plan:
    """``missing`` are the layers to send, each once; ``vouched`` the blobs that our receipts say the engine holds."""

    facts: EngineFacts
    vouched: frozenset[Digest]
    missing: tuple[Layer, ...]

    @property
    def peak_size(self) -> int:
        """Bytes that the engine's data root needs free: all layers as kept, and the largest one while it is loaded."""
        kept = self.facts.kept_factor
        sizes = [layer.uncompressed_size for layer in self.missing]
        return round(kept * sum(sizes) + max(self.facts.peak_factor - kept, 0.0) * max(sizes, default=0))


def plan_for(images: Sequence[Image], engine: Engine, facts: EngineFacts, vouched: AbstractSet[Digest]) -> Plan:
    """What ``engine`` lacks of ``images``."""
    missing: dict[Digest, Layer] = {}
    for image in images:
        held = engine.held(image, vouched)
        for key, layer in list(_keyed(image, facts.store))[held:]:
            missing.setdefault(key, layer)
    return Plan(facts, frozenset(vouched), tuple(missing.values()))


def _keyed(image: Image, store: str) -> Iterator[tuple[Digest, Layer]]:
    """Each layer by what the store knows it by: the chain that ends with it, or its blob."""
    for chain_id, layer in zip(image.chain_ids, image.layers):
        yield (chain_id if store == GRAPH else layer.blob.digest), layer
