"""`bundler init` writes a recipe that is right as it stands."""

from __future__ import annotations

from pathlib import Path

import pytest

from bundler.builder.agreement import asked_images
from bundler.builder.init import init_recipe
from bundler.builder.recipe_file import load_recipe
from bundler.builder.schema import schema_text
from bundler.core.errors import PreconditionError, UsageError


def test_what_init_writes_is_a_recipe(tmp_path: Path) -> None:
    written = init_recipe(tmp_path / "a" / "new", "my-service")
    recipe = load_recipe(tmp_path / "a" / "new")
    assert all(path.is_file() for path in written)
    assert (recipe.name, recipe.base.tag.familiar) == ("my-service", "my-service:base")
    assert [image.asked for image in asked_images(recipe)] == ["python:3.12-slim"]
    assert recipe.checks[1].forbid == ("Traceback", r"huggingface\.co")
    compile((tmp_path / "a" / "new" / "selfcheck.py").read_text(), "selfcheck.py", "exec")


def test_the_schema_that_editors_need_stands_beside(tmp_path: Path) -> None:
    init_recipe(tmp_path, "x")
    assert "$schema=./recipe.schema.json" in (tmp_path / "recipe.yaml").read_text()
    assert (tmp_path / "recipe.schema.json").read_text() == schema_text()


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("mine")
    with pytest.raises(PreconditionError, match="Dockerfile would be overwritten"):
        init_recipe(tmp_path, "x")
    assert [path.name for path in tmp_path.iterdir()] == ["Dockerfile"]


@pytest.mark.parametrize("name", ["", "My", "a b", "-x", "a/b", "../x"])
def test_names_that_images_cannot_have(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError):
        init_recipe(tmp_path, name)
    assert not list(tmp_path.iterdir())


def test_a_file_in_the_directorys_place(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("")
    with pytest.raises(PreconditionError, match="cannot write"):
        init_recipe(tmp_path / "x", "x")
