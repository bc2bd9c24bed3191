"""What an audit found, as values and as JSON: three kinds of finding, and what was looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from bundler.core.errors import CHANGED, EXTRA, MISSING, Difference

#: In the order in which they are listed.
KINDS: Final[tuple[Difference, ...]] = (MISSING, EXTRA, CHANGED)


@dataclass(frozen=True)
class Finding:
    """One difference. ``subject`` is ``kit``, ``image``, ``model``, ``file`` or ``log``; ``where`` names the thing."""

    kind: Difference
    subject: str
    where: str
    what: str

    def to_json(self) -> dict[str, str]:
        """The form in ``--json`` and in the log."""
        return {"kind": self.kind, "subject": self.subject, "where": self.where, "what": self.what}


@dataclass(frozen=True)
class AuditReport:
    """``bundles`` are the titles that were audited; ``notes`` say what could not be looked at; sizes are counts."""

    audited_at: str
    engine: str
    engine_id: str
    bundles: tuple[str, ...]
    images: int
    model_files: int
    payload_files: int
    kits: tuple[str, ...]
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]

    def of_kind(self, kind: Difference) -> tuple[Finding, ...]:
        """The findings of one kind."""
        return tuple(finding for finding in self.findings if finding.kind == kind)

    def to_json(self) -> dict[str, Any]:
        """The form in ``--json``."""
        return {
            "audited_at": self.audited_at,
            "engine": self.engine,
            "engine_id": self.engine_id,
            "bundles": list(self.bundles),
            "compared": {
                "kits": list(self.kits),
                "images": self.images,
                "model_files": self.model_files,
                "payload_files": self.payload_files,
            },
            **{kind: [item.to_json() for item in self.of_kind(kind)] for kind in KINDS},
            "notes": list(self.notes),
        }
