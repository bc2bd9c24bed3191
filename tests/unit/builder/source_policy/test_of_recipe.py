"""The sources that a build looks at before it begins."""

from __future__ import annotations

from pathlib import Path

import pytest

from bundler.builder.init import init_recipe
from bundler.builder.recipe_file import load_recipe
from bundler.builder.source_policy.of_recipe import require_clean_sources, sources_of
from bundler.core.errors import CheckError
from bundler.core.progress import SilentProgress

ROOT = Path(__file__).resolve().parents[4]


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    init_recipe(tmp_path, "x")
    return tmp_path


def check(directory: Path) -> None:
    require_clean_sources(load_recipe(directory), SilentProgress())


def test_recipes_that_we_ship_are_clean(recipe: Path) -> None:
    check(recipe)
    check(ROOT / "recipes" / "quickstart")


def test_what_is_looked_at(recipe: Path) -> None:
    (recipe / ".dockerignore").write_text("tools\n")
    for name in ("tools/fetch.py", "service/main.py", "node_modules/x/setup.py", ".venv/lib/y.py"):
        (recipe / name).parent.mkdir(parents=True, exist_ok=True)
        (recipe / name).write_text("")
    (recipe / "other.yaml").write_text("url: https://huggingface.co/x\n")  # neither payload nor program
    names = [source.name for source in sources_of(load_recipe(recipe))]
    assert sorted(names) == [
        "Dockerfile",
        "Dockerfile.base",
        "compose.yaml",
        "recipe.yaml",
        "selfcheck.py",
        "service/main.py",
    ]


def test_every_finding_is_told_with_code_9(recipe: Path) -> None:
    (recipe / "load.py").write_text("import nltk\nnltk.download('x')\n")
    with (recipe / "Dockerfile").open("a") as stream:
        stream.write("ENV HF_HUB_OFFLINE=0\n")
    with pytest.raises(CheckError) as caught:
        check(recipe)
    assert caught.value.exit_code == 9
    assert [(problem.where, problem.what.partition(":")[0]) for problem in caught.value.problems] == [
        ("Dockerfile:6:1", "env-online"),
        ("load.py:2:1", "fetches"),
    ]
    assert "bundler: allow RULE reason" in caught.value.remedy


def test_a_waiver_lets_a_build_go_on(recipe: Path) -> None:
    (recipe / "load.py").write_text("import nltk\nnltk.download('x')  # bundler: allow fetches only in our workshop\n")
    check(recipe)


def test_volumes_of_dockerfiles_are_left_to_the_finished_image(recipe: Path) -> None:
    with (recipe / "Dockerfile").open("a") as stream:
        stream.write("VOLUME /app/models/minilm\n")
    check(recipe)
