"""The recipe ocr-rag as it is shipped: read without a fault, locked by nobody yet, and everything that starts travels."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from bundler.builder.payload import payload_of
from bundler.builder.recipe import BuildSpec
from bundler.builder.recipe_checks import GoldenSpec
from bundler.builder.recipe_file import load_recipe
from bundler.builder.supply import policy_of

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


def test_downloads_are_tried_three_times_or_more_and_never_less_than_ten_seconds_apart() -> None:
    policy = policy_of(load_recipe(RECIPE).download)
    assert policy.attempts >= 3
    assert min(policy.delay_s(failed, None, chance=0) for failed in range(1, policy.attempts)) >= 10


def test_what_a_gpu_computes_is_compared_with_the_same_outputs_as_what_a_cpu_does() -> None:
    compared = [each for each in load_recipe(RECIPE).checks if isinstance(each, GoldenSpec)]
    cpu, gpu = ({each.golden: each for each in compared if each.needs_gpu is wanted} for wanted in (False, True))
    assert set(cpu) == {"golden/sarashina.json", "golden/reranker.json", "golden/yomitoku.json"}
    assert set(gpu) == {"golden/sarashina.json", "golden/reranker.json"}
    for golden, check in gpu.items():
        assert check.run == cpu[golden].run
        assert cpu[golden].tolerance < check.tolerance <= 0.1  # float16 differs in the fourth digit


def test_the_pages_that_are_read_travel_with_the_application() -> None:
    tree = ast.parse((RECIPE / "golden" / "record.py").read_text("utf-8"))
    (names,) = (
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "PICTURES"
    )
    assert sorted(names) == sorted(path.name for path in (RECIPE / "backend" / "pages").iterdir())
    assert "COPY backend/ /app/backend/" in (RECIPE / "Dockerfile").read_text("utf-8")


def test_what_it_says_it_needs_is_what_its_code_and_its_packages_ask_for() -> None:
    lines = (RECIPE / "requirements.txt").read_text("utf-8").splitlines()
    (wanted,) = (Requirement(line.partition("#")[0].strip()) for line in lines if line.startswith("sentence-trans"))
    taken = [release for release in ("3.1", "5.3", "5.4", "6.2.0") if wanted.specifier.contains(release)]
    assert taken == ["5.4", "6.2.0"]  # Pooling.pooling_mode and get_embedding_dimension came with 5.4
    # numpy, onnxruntime and Pillow ask for it.
    assert "Python 3.11 to" in (RECIPE / "Dockerfile.base").read_text("utf-8")


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
