"""Models laid out as a recipe says, and what cannot be laid out so."""

from __future__ import annotations

from pathlib import Path

import pytest

from bundler.builder.assemble import local_model, require_storable
from bundler.builder.hub.fetch import Snapshot
from bundler.builder.hub.store import ModelStore
from bundler.builder.lock import Lock, LockedModel
from bundler.builder.recipe import Recipe
from bundler.builder.recipe_models import ModelSpec
from bundler.core.errors import BuildError
from tests.support.locked import COMMIT, locked_file, locked_model


def spec(layout: str) -> ModelSpec:
    return ModelSpec.model_validate({"name": "tiny", "repo": "owner/tiny", "path": "/m", "layout": layout})


def model(commit: str | None, *paths: str) -> LockedModel:
    files = tuple(locked_file(path, sha256="c" * 64) for path in paths or ("config.json",))
    return locked_model("tiny", commit=commit, files=files)


def recipe(layout: str) -> Recipe:
    document = {"format": 1, "name": "r", "version": "1", "platform": "linux/amd64", "models": (spec(layout),)}
    base = {"image": "busybox:1", "tag": "r:1"}
    return Recipe.model_validate({**document, "base": base, "directory": Path("/nowhere")})


def lock(model: LockedModel) -> Lock:
    return Lock(format=1, platform="linux/amd64", models=(model,), images=None)


def paths(layout: str, commit: str | None) -> list[str]:
    made = local_model(spec(layout), Snapshot(model(commit), ModelStore(Path("/nowhere"))))
    return [f"{made.tree.path}/{file.path}" for file in made.tree.files]


def test_files_stand_at_the_path_or_in_a_hub_cache() -> None:
    assert paths("plain", COMMIT) == paths("plain", None) == ["/m/config.json"]
    folder = "/m/models--owner--tiny"
    assert paths("hub-cache", COMMIT) == [f"{folder}/refs/main", f"{folder}/snapshots/{COMMIT}/config.json"]


def test_a_hub_cache_of_what_has_no_commit_is_refused_by_name() -> None:
    for refused in (lambda: paths("hub-cache", None), lambda: require_storable(recipe("hub-cache"), lock(model(None)))):
        with pytest.raises(BuildError, match="model tiny has no commit") as caught:
            refused()
        assert caught.value.where == "owner/tiny"
        assert "`layout: plain`" in caught.value.remedy
    require_storable(recipe("plain"), lock(model(None)))
    require_storable(recipe("hub-cache"), lock(model(COMMIT)))


def test_all_names_that_cannot_stand_in_a_layer_are_told() -> None:
    with pytest.raises(BuildError) as caught:
        require_storable(recipe("plain"), lock(model(None, ".wh.a", "b", "c/.wh.d")))
    assert [each.where for each in caught.value.problems] == ["model tiny, owner/tiny"] * 2
