"""Where a proof comes from: when it was made, by which bundler, in which engine, and what was caught first on purpose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bundler.core.json_fields import Fields


@dataclass(frozen=True)
class ProvingEngine:
    """The engine that ran the checks; ``system`` and ``kernel`` are its host's, empty where it does not tell."""

    name: str
    version: str
    api_version: str
    platform: str
    store: str
    system: str = ""
    kernel: str = ""

    def to_json(self) -> dict[str, Any]:
        """The form in papers."""
        return {
            "name": self.name,
            "version": self.version,
            "api_version": self.api_version,
            "platform": self.platform,
            "store": self.store,
            "system": self.system,
            "kernel": self.kernel,
        }


@dataclass(frozen=True)
class Provenance:
    """``at`` is the end of the checks, RFC 3339 in UTC; ``by`` is bundler with its version."""

    at: str
    by: str
    engine: ProvingEngine

    def to_json(self) -> dict[str, Any]:
        """The form in papers."""
        return {"at": self.at, "by": self.by, "engine": self.engine.to_json()}


@dataclass(frozen=True)
class Control:
    """What was sent on purpose before any check, and caught: a UDP packet and a question to the name server.

    Times are in seconds since the start of the container that sent them.
    """

    address: str
    port: int
    name: str
    packet_after_s: float
    question_after_s: float

    @property
    def told(self) -> str:
        """The control for people, on one line."""
        return (
            f"a UDP packet to {self.address} port {self.port}, caught {self.packet_after_s * 1000:.0f} ms after the "
            f"start of its sender, and a DNS question for {self.name}, after {self.question_after_s * 1000:.0f} ms"
        )

    def to_json(self) -> dict[str, Any]:
        """The form in papers, receipts and ``--json``."""
        return {
            "address": self.address,
            "port": self.port,
            "name": self.name,
            "packet_after_s": round(self.packet_after_s, 4),
            "question_after_s": round(self.question_after_s, 4),
        }


def parse_provenance(fields: Fields) -> Provenance:
    """Read what papers keep; raises BundleError where it is not as it was written."""
    engine = fields.object("engine")
    texts = {key: engine.text(key) for key in ("name", "version", "api_version", "platform", "store")}
    told = {key: engine.optional_text(key) or "" for key in ("system", "kernel")}
    return Provenance(fields.text("at"), fields.text("by"), ProvingEngine(**texts, **told))


def parse_control(fields: Fields) -> Control:
    """Read what papers and receipts keep; raises BundleError where it is not as it was written."""
    return Control(
        address=fields.text("address"),
        port=fields.integer("port"),
        name=fields.text("name"),
        packet_after_s=fields.duration("packet_after_s"),
        question_after_s=fields.duration("question_after_s"),
    )
