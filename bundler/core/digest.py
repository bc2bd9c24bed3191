"""Content digests as OCI writes them: ``sha256:<64 hex>`` (image-spec, "descriptor.md", Digests)."""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass
from typing import BinaryIO

CHUNK_BYTES = 1 << 20
_HEX = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, order=True)
class Digest:
    """A SHA-256 digest, parsed once; ``str()`` gives ``sha256:<hex>``."""

    hex: str

    def __post_init__(self) -> None:
        if not _HEX.fullmatch(self.hex):
            raise ValueError(f"not 64 lower-case hexadecimal digits: {self.hex!r}")

    @classmethod
    def parse(cls, text: str) -> Digest:
        """Read ``sha256:<hex>``; raises ValueError for anything else."""
        algorithm, colon, value = text.partition(":")
        if algorithm != "sha256" or not colon:
            raise ValueError(f"not a sha256 digest: {text!r}")
        return cls(value)

    @classmethod
    def of(cls, content: bytes) -> Digest:
        """Digest of ``content``."""
        return cls(hashlib.sha256(content).hexdigest())

    @classmethod
    def of_stream(cls, stream: BinaryIO) -> Digest:
        """Digest of everything that ``stream`` still holds, read in pieces."""
        hasher = hashlib.sha256()
        while chunk := stream.read(CHUNK_BYTES):
            hasher.update(chunk)
        return cls(hasher.hexdigest())

    def __str__(self) -> str:
        return f"sha256:{self.hex}"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Digest):
            return NotImplemented
        return hmac.compare_digest(self.hex, other.hex)

    def __hash__(self) -> int:
        return hash(self.hex)
