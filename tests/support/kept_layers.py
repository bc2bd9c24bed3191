"""A store that keeps exported layers in memory."""

from __future__ import annotations

import hashlib
import io
import tarfile
from dataclasses import dataclass, field
from typing import BinaryIO

from bundler.core.digest import Digest


@dataclass(frozen=True)
class Kept:
    diff_id: Digest
    content: bytes

    @property
    def names(self) -> list[str]:
        with tarfile.open(fileobj=io.BytesIO(self.content)) as archive:
            return [name.strip("/") for name in archive.getnames()]


@dataclass
class Store:
    """Layers in memory; counts how many were taken."""

    layers: dict[Digest, Kept] = field(default_factory=dict)
    taken: int = 0

    def find(self, diff_id: Digest) -> Kept | None:
        return self.layers.get(diff_id)

    def store(self, stream: BinaryIO) -> Kept:
        content = b"".join(iter(lambda: stream.read(1 << 20), b""))
        kept = Kept(Digest(hashlib.sha256(content).hexdigest()), content)
        self.layers[kept.diff_id] = kept
        self.taken += 1
        return kept
