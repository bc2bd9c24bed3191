"""A recipe and its lock that speak of a kit of `tests.bundles`, as if it had been built from them."""

from __future__ import annotations

from pathlib import Path

from bundler.builder.lock import Lock, LockedFile, LockedImage, write_lock
from bundler.core.bundle import open_bundle
from bundler.core.kit import TrustPolicy
from tests.support.locked import locked_model

_RECIPE = """\
format: 1
name: {name}
version: "1.0.0"
platform: linux/amd64
models:
{models}
base: {{ image: "debian:12", tag: "{base}" }}
apps: [{{ dockerfile: Dockerfile, tag: "{app}" }}]
checks:
  - {{ name: reads, run: [/bin/cat, /app/models/tiny/config.json], within: 2m, expect: "{expect}" }}
"""
_BASE = LockedImage(role="from", asked="debian:12", kind="registry-digest", value=f"sha256:{'d' * 64}")


def write_recipe(directory: Path, kit: Path, expect: str = "hidden_size") -> Path:
    """The recipe's directory, with a check that reads a model's file and has to see ``expect`` there."""
    manifest = open_bundle(kit, TrustPolicy()).manifest
    base, app = (image.reference for image in manifest.images[:2])
    models = "\n".join(f"  - {{ name: {m.name}, repo: {m.repo_id}, path: {m.path} }}" for m in manifest.models)
    text = _RECIPE.format(name=manifest.name, models=models, base=base.familiar, app=app.familiar, expect=expect)
    directory.mkdir()
    (directory / "recipe.yaml").write_text(text)
    (directory / "Dockerfile").write_text(f"FROM {base.familiar}\n")
    locked = tuple(
        locked_model(
            model.name,
            repo_id=model.repo_id,
            canonical_id=model.repo_id,
            commit=model.commit,
            files=tuple(
                LockedFile(path=file.path, size=file.size, sha256=file.sha256.hex, git_sha1=None)
                for file in sorted(model.files, key=lambda file: file.path)
            ),
        )
        for model in manifest.models
    )
    write_lock(directory / "recipe.lock", Lock(format=1, platform="linux/amd64", models=locked, images=(_BASE,)))
    return directory
