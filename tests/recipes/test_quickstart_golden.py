"""What the quickstart is compared with: recorded by the model card's example, which knows nothing of the service."""

from __future__ import annotations

import ast
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bundler.builder.golden_file import read_golden
from bundler.builder.recipe_checks import GoldenSpec
from bundler.builder.recipe_file import load_recipe
from testbed.reference import reference_python
from testbed.weights import minilm

RECIPE = Path(__file__).parents[2] / "recipes" / "quickstart"
RECORDED = RECIPE / "golden" / "minilm.json"
RECORDER = RECIPE / "golden" / "record.py"


def test_the_recorder_writes_what_is_kept() -> None:
    command = [str(reference_python()), str(RECORDER), str(minilm())]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": ""}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    again, kept = json.loads(done.stdout), json.loads(RECORDED.read_text("utf-8"))
    assert np.abs(np.array(again.pop("outputs")) - np.array(kept.pop("outputs"))).max() < 1e-6
    del again["reference"], kept["reference"]  # the build of torch stands in it
    assert again == kept


def test_the_recorder_takes_nothing_from_the_service() -> None:
    tree = ast.parse(RECORDER.read_text("utf-8"))
    modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    modules |= {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    assert {str(name).partition(".")[0] for name in modules} == {
        "__future__",
        "hashlib",
        "json",
        "pathlib",
        "sys",
        "torch",
        "transformers",
    }
    assert "1_Pooling" not in RECORDER.read_text("utf-8")


def test_it_was_recorded_of_the_weights_that_are_the_models() -> None:
    golden = read_golden(RECORDED)
    assert golden.files == {
        "model.safetensors": hashlib.sha256((minilm() / "model.safetensors").read_bytes()).hexdigest()
    }
    lengths = sorted(len(text.split()) for text in golden.inputs)
    assert (len(lengths), lengths[0], lengths[-1] > 100) == (5, 1, True)


def embed(argument: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "MODEL_DIR": str(minilm()), "PYTHONPATH": str(RECIPE)}
    command = [sys.executable, "-m", "service.embed", argument]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)


def test_the_service_gives_it_within_the_recipes_tolerance_and_one_batch_at_a_time() -> None:
    golden = read_golden(RECORDED)
    (check,) = (check for check in load_recipe(RECIPE).checks if isinstance(check, GoldenSpec))
    *alone, together = json.loads(embed(golden.argument).stdout)
    for outputs in ([batch[0] for batch in alone], together):
        assert np.abs(np.array(outputs) - np.array(golden.outputs)).max() < check.tolerance


@pytest.mark.parametrize("argument", ["", "{", "[]]", '{"a": 1}', '["a"]', "[[]]", "[[1]]", '[["a"], null]'])
def test_what_is_no_batches_is_an_error(argument: str) -> None:
    done = embed(argument)
    assert done.returncode == 1
    assert done.stderr.startswith("error: the batches ")


def test_vectors_are_of_length_one() -> None:
    batches: list[list[Any]] = json.loads(embed('[["a", "b c"]]').stdout)
    assert np.allclose(np.linalg.norm(batches[0], axis=1), 1, atol=1e-5)
