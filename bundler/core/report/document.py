"""The report for programs: the same content as the page, as JSON. Format: ``docs/report.md``."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from bundler.core.bundle_manifest import BundledImage, BundledModel
from bundler.core.report.evidence import Evidence
from bundler.core.report.unproved import LIMITS, gaps_of
from bundler.core.report.verdict import counts_of, verdict_of

REPORT_VERSION = 1


def render_json(evidence: Evidence) -> bytes:
    """``report.json``: indented, ASCII alone, the same bytes for the same evidence."""
    return (json.dumps(as_object(evidence), indent=2, sort_keys=True) + "\n").encode()


def as_object(evidence: Evidence) -> dict[str, Any]:
    """The report as one JSON object."""
    manifest = evidence.manifest
    bundle = {key: getattr(manifest, key) for key in ("title", "name", "version", "platform", "created", "created_by")}
    return {
        "report_version": REPORT_VERSION,
        "bundle": {
            **bundle,
            "digest": str(evidence.bundle.digest),
            "tar_sum": str(evidence.bundle.tar_sum) if evidence.bundle.tar_sum else None,
        },
        "origin": evidence.origin,
        "rehearsal": evidence.mode,
        "verdict": asdict(verdict_of(evidence)),
        "counts": asdict(counts_of(evidence)),
        "proved": evidence.provenance.to_json() if evidence.provenance else None,
        "images": [_image(image) for image in manifest.images],
        "models": [_model(model) for model in manifest.models],
        "files": {"count": len(manifest.files), "size": sum(file.size for file in manifest.files)},
        "checks": [result.to_json() for result in evidence.results],
        "unproved": [asdict(gap) for gap in gaps_of(evidence)],
        "limits": list(LIMITS),
    }


def image_size(image: BundledImage) -> int:
    """Bytes of its layers, uncompressed: what it takes where it runs."""
    return sum(layer.uncompressed_size for layer in image.layers)


def model_size(model: BundledModel) -> int:
    """Bytes of its files."""
    return sum(file.size for file in model.files)


def _image(image: BundledImage) -> dict[str, Any]:
    return {
        "reference": str(image.reference),
        "kind": image.kind,
        "image_id": str(image.image_id),
        "manifest_digest": str(image.manifest_digest),
        "models": list(image.models),
        "size": image_size(image),
    }


def _model(model: BundledModel) -> dict[str, Any]:
    return {
        "name": model.name,
        "repo_id": model.repo_id,
        "revision": model.revision,
        "commit": model.commit,
        "license": model.license,
        "path": model.path,
        "files": len(model.files),
        "size": model_size(model),
    }
