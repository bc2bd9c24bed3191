"""The papers of a kit: what its models' licences say, and what the rehearsal found."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from bundler.builder.assemble import LocalModel
from bundler.builder.licences import conditions, licence_id
from bundler.builder.lock import LockedModel
from bundler.core.check_result import CheckResult
from bundler.core.oci import canonical_json

_STATED = "STATED.txt"
#: What names of a kit's files must not hold.
_UNSAFE = re.compile(r"[\x00-\x1f\x7f\\]")
_ACCEPTED = {"recipe": "by the recipe, `accept_licences:`", "command line": "on the command line, `--accept-licence`"}


def papers_of(
    models: Sequence[LocalModel], rehearsal: tuple[str, Sequence[CheckResult]] | None
) -> Mapping[str, Path | bytes]:
    """Files below ``papers/`` by name; ``rehearsal`` is its mode and results, None while it has not ended."""
    papers: dict[str, Path | bytes] = {}
    for model in models:
        locked = model.snapshot.model
        folder = f"licences/{model.spec.name}"
        papers[f"{folder}/{_STATED}"] = _statement(locked).encode()
        papers.update((f"{folder}/{name}", text.encode()) for name, text in _texts(locked).items())
    if rehearsal is not None:
        mode, results = rehearsal
        document = {"rehearsal": mode, "checks": [result.to_json() for result in results]}
        papers["checks.json"] = canonical_json(document) + b"\n"
    return papers


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
