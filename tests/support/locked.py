"""Locked models for tests that need one and do not care where it came from."""

from __future__ import annotations

from typing import Any

from bundler.builder.lock import LockedFile, LockedLicense, LockedModel

COMMIT = "a1" * 20


def license_of(license_id: str | None = None, **changes: Any) -> LockedLicense:
    """Terms as a card states them: an id, and nothing else unless said."""
    values: dict[str, Any] = {"name": None, "link": None, "gated": False, "texts": (), "accepted": None}
    return LockedLicense(**{"id": license_id, **values, **changes})


def locked_file(path: str = "config.json", **changes: Any) -> LockedFile:
    """A small file, known by its git id."""
    return LockedFile(**{"path": path, "size": 3, "sha256": None, "git_sha1": "b" * 40, **changes})


def locked_model(name: str, **changes: Any) -> LockedModel:
    """``owner/NAME`` at ``COMMIT``, with one small file."""
    values: dict[str, Any] = {
        "name": name,
        "repo_id": f"owner/{name}",
        "canonical_id": f"owner/{name}",
        "revision": "main",
        "commit": COMMIT,
        "include": (),
        "exclude": (),
        "license": license_of(),
        "library": None,
        "has_safetensors": False,
        "files": (locked_file(),),
    }
    return LockedModel(**{**values, **changes})
