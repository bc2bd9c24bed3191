"""The papers of a kit: what its models' licences say, what the rehearsal found, and the report over both for people."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bundler import __version__
from bundler.builder.assemble import LocalModel
from bundler.builder.licences import conditions, licence_id
from bundler.builder.lock import LockedModel
from bundler.core.check_result import CheckResult
from bundler.core.oci import canonical_json
from bundler.core.provenance import Provenance
from bundler.core.report import REPORT_HTML, REPORT_JSON, render_html, render_json
from bundler.core.report.evidence import CHECKS, KnownBundle, evidence_of_papers

_STATED = "STATED.txt"
#: What names of a kit's files must not hold.
_UNSAFE = re.compile(r"[\x00-\x1f\x7f\\]")
_ACCEPTED = {"recipe": "by the recipe, `accept_licences:`", "command line": "on the command line, `--accept-licence`"}


@dataclass(frozen=True)
class Rehearsed:
    """A rehearsal that has ended: its mode and results, where they come from, and the bundle that it was one of.

    ``provenance`` is None where nothing was run: what was not done has no time and no engine.
    """

    mode: str
    results: Sequence[CheckResult]
    provenance: Provenance | None
    bundle: KnownBundle


def papers_of(models: Sequence[LocalModel], rehearsed: Rehearsed | None) -> Mapping[str, Path | bytes]:
    """Files below ``papers/`` by name; ``rehearsed`` is None while the rehearsal has not ended."""
    papers: dict[str, Path | bytes] = {}
    for model in models:
        locked = model.snapshot.model
        folder = f"licences/{model.spec.name}"
        papers[f"{folder}/{_STATED}"] = _statement(locked).encode()
        papers.update((f"{folder}/{name}", text.encode()) for name, text in _texts(locked).items())
    if rehearsed is not None:
        checks = _checks(rehearsed)
        evidence = evidence_of_papers(checks, rehearsed.bundle, f"papers/{CHECKS}")
        papers[CHECKS] = checks
        papers[REPORT_HTML], papers[REPORT_JSON] = render_html(evidence), render_json(evidence)
    return papers


def _checks(rehearsed: Rehearsed) -> bytes:
    manifest = rehearsed.bundle.manifest
    document = {
        "rehearsal": rehearsed.mode,
        "checks": [result.to_json() for result in rehearsed.results],
        "written_by": f"bundler {__version__}",
        "bundle": {
            "name": manifest.name,
            "version": manifest.version,
            "platform": manifest.platform,
            "digest": str(rehearsed.bundle.digest),
        },
        **({"proved": rehearsed.provenance.to_json()} if rehearsed.provenance else {}),
    }
    return canonical_json(document) + b"\n"


def _texts(model: LockedModel) -> Mapping[str, str]:
    """The repo's own terms by the names that they have there, but for one that would stand in the statement's place."""
    named = {_UNSAFE.sub("_", text.path): text.text for text in model.license.texts}
    return {f"repo-{name}" if name.lower() == _STATED.lower() else name: text for name, text in named.items()}


def _statement(model: LockedModel) -> str:
    license = model.license
    rows = {
        "model": model.name,
        "repo": model.canonical_id,
        "asked for as": model.repo_id if model.repo_id != model.canonical_id else None,
        "commit": model.commit or "none: known by the digests of its files",
        "licence": license.id or "none stated by the repo: ask its owner before you use it",
        "name of the licence": license.name,
        "stated at": license.link,
        "texts": ", ".join(text.path for text in license.texts) or "none in the repo",
        "gated": "yes, the Hub asks whoever downloads it to agree first" if license.gated else "no",
        "conditions": conditions(license) or "none that want to be accepted",
        "accepted": f"{licence_id(model)}, {_ACCEPTED[license.accepted]}" if license.accepted else None,
    }
    return "".join(f"{key}: {' '.join(value.split())}\n" for key, value in rows.items() if value)
