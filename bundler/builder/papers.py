"""The papers of a kit: what its models' licences say, and what the rehearsal found."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from bundler.builder.assemble import LocalModel
from bundler.core.check_result import CheckResult
from bundler.core.oci import canonical_json

_LICENSE_FILE = re.compile(r"(licen[cs]e|notice|use_policy)[^/]*", re.IGNORECASE)


def papers_of(
    models: Sequence[LocalModel], rehearsal: tuple[str, Sequence[CheckResult]] | None
) -> Mapping[str, Path | bytes]:
    """Files below ``papers/`` by name; ``rehearsal`` is its mode and results, None while it has not ended."""
    papers: dict[str, Path | bytes] = {}
    for model in models:
        folder = f"licences/{model.spec.name}"
        papers[f"{folder}/STATED.txt"] = _statement(model).encode()
        papers.update((f"{folder}/{path.name}", path) for path in _license_files(model))
    if rehearsal is not None:
        mode, results = rehearsal
        document = {"rehearsal": mode, "checks": [result.to_json() for result in results]}
        papers["checks.json"] = canonical_json(document) + b"\n"
    return papers


def _license_files(model: LocalModel) -> Iterator[Path]:
    for file in model.snapshot.model.files:
        if _LICENSE_FILE.fullmatch(file.path):
            yield model.snapshot.path(file)


def _statement(model: LocalModel) -> str:
    locked = model.snapshot.model
    license_id = locked.license or "none stated by the repo: ask its owner before you use it"
    return f"model: {model.spec.name}\nrepo: {locked.canonical_id}\ncommit: {locked.commit}\nlicence: {license_id}\n"
