"""The vectors of ocr-search against the recorded reference, which is the quickstart's: the same model, the same recorder."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from bundler.builder.golden_file import read_golden
from bundler.builder.recipe_checks import GoldenSpec
from bundler.builder.recipe_file import load_recipe
from testbed.recipe_python import recipe_python
from testbed.weights import minilm

RECIPES = Path(__file__).parents[2] / "recipes"
RECIPE = RECIPES / "ocr-search"
RECORDED = RECIPE / "golden" / "minilm.json"


def embed(argument: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "MINILM_DIR": str(minilm()), "PYTHONPATH": str(RECIPE)}
    command = [str(recipe_python(RECIPE)), "-m", "service.embed", argument]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)


@pytest.mark.parametrize("name", ["record.py", "minilm.json"])
def test_it_was_recorded_as_the_quickstarts_was(name: str) -> None:
    """``test_quickstart_golden.py`` records anew and compares."""
    assert (RECIPE / "golden" / name).read_bytes() == (RECIPES / "quickstart" / "golden" / name).read_bytes()


def test_the_service_gives_it_within_the_recipes_tolerance_and_one_batch_at_a_time() -> None:
    golden = read_golden(RECORDED)
    (check,) = (check for check in load_recipe(RECIPE).checks if isinstance(check, GoldenSpec))
    *alone, together = json.loads(embed(golden.argument).stdout)
    for outputs in ([batch[0] for batch in alone], together):
        assert np.abs(np.array(outputs) - np.array(golden.outputs)).max() < check.tolerance


@pytest.mark.parametrize("argument", ["", "[[]]", '[["a"], null]'])
def test_what_is_no_batches_is_an_error(argument: str) -> None:
    done = embed(argument)
    assert done.returncode == 1
    assert done.stderr.startswith("error: the batches ")
