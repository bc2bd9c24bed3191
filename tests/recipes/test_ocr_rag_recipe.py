"""The recipe ocr-rag as it is shipped: read without a fault, locked by nobody yet, and everything that starts travels."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from bundler.builder.payload import payload_of
from bundler.builder.recipe import BuildSpec
from bundler.builder.recipe_file import load_recipe

RECIPE = Path(__file__).resolve().parents[2] / "recipes" / "ocr-rag"


@pytest.mark.parametrize("directory", [RECIPE, RECIPE / "llm"], ids=["ocr-rag", "llm"])
def test_it_is_right_and_invents_no_digest(directory: Path) -> None:
    recipe = load_recipe(directory)
    assert not (directory / "recipe.lock").exists()
    assert "sha256:" not in (directory / "recipe.yaml").read_text("utf-8")
    assert payload_of(recipe) or directory.name == "llm"


def test_every_service_starts_from_an_image_that_travels_and_pulls_none() -> None:
    travels = {
        reference.familiar
        for directory in (RECIPE, RECIPE / "llm")
        for recipe in [load_recipe(directory)]
        for reference in [recipe.base.tag, *(app.tag for app in recipe.apps), *(image.name for image in recipe.images)]
    }
    services = yaml.safe_load((RECIPE / "compose.yaml").read_text("utf-8"))["services"]
    assert {service["image"] for service in services.values()} <= travels
    assert {service["pull_policy"] for service in services.values()} == {"never"}
    assert services["app"]["container_name"] == "ocr-rag-app-dev"


def test_transformers_is_the_release_that_the_reranker_names() -> None:
    base = load_recipe(RECIPE).base
    assert isinstance(base, BuildSpec)
    source = base.args_from["TRANSFORMERS_VERSION"]
    assert (source.model, source.file, source.key) == ("reranker", "config.json", "transformers_version")


def test_old_builders_take_its_dockerfiles() -> None:
    for name in ("Dockerfile.base", "Dockerfile"):
        text = (RECIPE / name).read_text("utf-8")
        assert "<<" not in text
        assert "# syntax=" not in text
        assert "--mount" not in text


def test_the_rule_stands_where_whoever_changes_the_code_looks() -> None:
    for name in ("POLICY.md", "CLAUDE.md", "AGENTS.md", "CONTRIBUTING.md", "recipe.yaml", "Dockerfile", "dev.sh"):
        words = " ".join((RECIPE / name).read_text("utf-8").replace("#", " ").replace("*", "").lower().split())
        assert "every model is in the base image" in words, name


@pytest.mark.parametrize(
    "arguments", [("rebuild", "base"), ("rebuild", "app"), ("record",), ("bundle",), ("first-start",)]
)
def test_dev_sh_builds_where_the_recipe_is_and_nowhere_else(arguments: tuple[str, ...], tmp_path: Path) -> None:
    """Where a kit was installed there is no recipe: files that it lacks are not what is wrong."""
    shutil.copy(RECIPE / "dev.sh", tmp_path)
    command = ["bash", str(tmp_path / "dev.sh"), *arguments]
    done = subprocess.run(command, env={**os.environ, "BUNDLER": "false"}, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "this is where a kit was installed" in done.stderr
    assert f"{arguments[0]} on the connected host" in done.stderr


@pytest.mark.parametrize("arguments", [(), ("rebuild",), ("no-such",)])
def test_dev_sh_says_what_it_does(arguments: tuple[str, ...]) -> None:
    done = subprocess.run(["bash", str(RECIPE / "dev.sh"), *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == (0 if not arguments else 1)
    told = done.stdout + done.stderr
    assert "rebuild base" in told
    assert "rebuild app" in told
