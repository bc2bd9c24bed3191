"""The real repo of all-MiniLM-L6-v2 passes as it stands, and each thing that is left out of it is missed."""

from __future__ import annotations

import hashlib
from pathlib import Path

from bundler.builder.hub.fetch import Snapshot
from bundler.builder.hub.soundness.rules import content_problems, listing_problems
from bundler.builder.hub.store import ModelStore
from bundler.builder.lock import LockedFile, LockedLicense, LockedModel
from bundler.builder.recipe_models import ModelSpec
from testbed import weights

SPEC = ModelSpec.model_validate({"name": "minilm", "repo": weights.REPO_ID, "path": "/m", "require": ("1_Pooling/*",)})


def snapshot(root: Path, source: Path) -> Snapshot:
    store = ModelStore(root)
    files = []
    for path in sorted(each for each in source.rglob("*") if each.is_file()):
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        store.path(sha256).parent.mkdir(parents=True, exist_ok=True)
        store.path(sha256).symlink_to(path)
        name = str(path.relative_to(source))
        files.append(LockedFile(path=name, size=path.stat().st_size, sha256=sha256, git_sha1=None))
    model = LockedModel(
        name="minilm",
        repo_id=weights.REPO_ID,
        canonical_id=weights.REPO_ID,
        revision="main",
        commit="a" * 40,
        include=(),
        exclude=(),
        license=LockedLicense(id="apache-2.0", name=None, link=None, gated=False, texts=(), accepted=None),
        library="sentence-transformers",
        has_safetensors=any(file.path.endswith(".safetensors") for file in files),
        files=tuple(sorted(files, key=lambda file: file.path)),
    )
    return Snapshot(model, store)


def test_minilm_is_a_model(tmp_path: Path) -> None:
    made = snapshot(tmp_path, weights.minilm())
    assert [file.path for file in made.model.files if file.path.endswith(".safetensors")]
    assert listing_problems(SPEC, made.model) == []
    assert content_problems(SPEC, made) == []


def test_minilm_without_its_pooling_is_not(tmp_path: Path) -> None:
    made = snapshot(tmp_path, weights.minilm())
    rest = made.model.model_copy(
        update={"files": tuple(file for file in made.model.files if file.path != "1_Pooling/config.json")}
    )
    assert [each.where for each in content_problems(SPEC, Snapshot(rest, made.store))] == [
        "minilm/1_Pooling/config.json"
    ]
