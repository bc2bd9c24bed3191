"""Models and services that go wrong without an error, against outputs of an independent reference: real weights."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from bundler.builder.golden_file import read_golden
from bundler.core.check_result import CheckResult
from bundler.core.checks import Golden, GoldenCheck
from bundler.core.digest import Digest
from bundler.core.docker_api import connect
from bundler.core.progress import SilentProgress
from bundler.core.reference import Reference
from bundler.installer.checks.running import run_commands
from bundler.installer.engine import RunSpec
from bundler.installer.engines.docker import DockerEngine
from testbed import debian
from testbed.engines import RunningEngine
from testbed.images import debian_image
from testbed.libraries import site_packages
from testbed.weights import minilm

RECIPE = Path(__file__).parents[2] / "recipes" / "quickstart"
BROKEN = Path(__file__).parents[1] / "support" / "broken_embedder.py"
LIBRARIES = ("numpy==2.4.6", "safetensors==0.8.0", "tokenizers==0.23.3")
IMAGE = Reference.parse("registry.test.local:5000/team/golden:1")
TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def image(docker20: RunningEngine) -> Iterator[tuple[DockerEngine, Digest]]:
    """A Debian with its Python."""
    rootfs = debian.python_rootfs().path
    image_id = debian_image(docker20, rootfs, "golden-test:os")
    yield DockerEngine(connect(docker20.base_url)), Digest.parse(image_id)
    docker20.docker("rmi", "golden-test:os")


@pytest.fixture(scope="module")
def golden() -> Golden:
    return read_golden(RECIPE / "golden" / "minilm.json")


@pytest.fixture(scope="module")
def without_pooling(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model as it is when the folder with its pooling was left out before anybody recorded or built anything."""
    copy = tmp_path_factory.mktemp("models") / "minilm"
    shutil.copytree(minilm(), copy, ignore=shutil.ignore_patterns("1_Pooling", "modules.json"), copy_function=_linked)
    return copy


def _linked(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copyfile(source, target)


def checked(
    image: tuple[DockerEngine, Digest], golden: Golden, command: tuple[str, ...], model: Path | None = None
) -> CheckResult:
    engine, image_id = image
    check = GoldenCheck("vectors", IMAGE, command, 300.0, "1000:1000", {}, (), False, golden, TOLERANCE)
    (result,) = run_commands([check], {IMAGE: image_id}, engine, SilentProgress(), around(model or minilm()))
    return result


def around(model: Path) -> RunSpec:
    """The service's own code, libraries and a model, mounted read-only as in a quick rehearsal."""
    mounts = {
        "/app/models/minilm": model,
        "/app/service": RECIPE / "service",
        "/app/broken": BROKEN.parent,
        "/opt/libraries": site_packages(LIBRARIES, "3.11"),
    }
    variables = {"PYTHONPATH": "/opt/libraries:/app", "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
    return RunSpec((), 300.0, env=variables, mounts=mounts)


def broken(defect: str) -> tuple[str, ...]:
    return ("python3", f"/app/broken/{BROKEN.name}", defect)


@pytest.mark.parametrize("command", [("python3", "-m", "service.embed"), broken("none")])
def test_the_service_gives_what_the_reference_recorded(
    image: tuple[DockerEngine, Digest], golden: Golden, command: tuple[str, ...]
) -> None:
    result = checked(image, golden, command)
    assert result.passed, result.detail
    assert 0 < result.measured["largest_difference"] <= TOLERANCE
    assert result.detail.startswith("5 outputs, alone and in one batch, are those that were recorded")


def test_a_model_whose_pooling_was_removed_before_the_recording_is_caught(
    image: tuple[DockerEngine, Digest], golden: Golden, without_pooling: Path
) -> None:
    """A recording through the service would find nothing: it agrees with itself."""
    result = checked(image, golden, broken("pooling"), without_pooling)
    assert not result.passed
    assert "alone, 5 of 5 outputs are not those that were recorded (tolerance 1e-05), most of all for" in result.detail
    assert result.measured["largest_difference"] > 0.05
    own = dataclasses.replace(golden, outputs=through_the_service(image, golden, without_pooling))
    assert checked(image, own, broken("pooling"), without_pooling).passed


def through_the_service(image: tuple[DockerEngine, Digest], golden: Golden, model: Path) -> tuple[list[float], ...]:
    """What somebody would record who asks the broken service itself."""
    engine, image_id = image
    command = (*broken("pooling"), json.dumps([list(golden.inputs)]))
    result = engine.run(image_id, dataclasses.replace(around(model), command=command, stdout_apart=True))
    return tuple(json.loads(result.stdout)[0])


def test_a_causal_mask_is_caught(image: tuple[DockerEngine, Digest], golden: Golden) -> None:
    result = checked(image, golden, broken("causal"))
    assert not result.passed
    assert "alone, 5 of 5 outputs are not" in result.detail
    assert "in a batch of 5, 5 of 5 outputs are not" in result.detail
    assert "padded" not in result.detail


@pytest.mark.parametrize("defect", ["causal-when-padded", "padding"])
def test_what_is_wrong_in_a_padded_batch_alone_is_caught_and_told(
    image: tuple[DockerEngine, Digest], golden: Golden, defect: str
) -> None:
    """A causal mask on padded batches, and padding that is not masked; the longest text of the batch has none."""
    result = checked(image, golden, broken(defect))
    assert not result.passed
    assert not result.detail.startswith("alone")
    assert result.detail.startswith("in a batch of 5, ")
    assert "right alone and wrong in a padded batch: look at what becomes of the padding" in result.detail


def test_a_service_that_does_not_know_the_form_is_told_with_what_it_printed(
    image: tuple[DockerEngine, Digest], golden: Golden
) -> None:
    silent = checked(image, golden, ("python3", "-c", "print('[loading] 100%')"))
    assert silent.detail.startswith("printed no line that is a JSON list of outputs")
    assert silent.detail.endswith("it printed: [loading] 100%")
    wrong = checked(image, golden, ("python3", "-m", "service.search"))  # takes the batches for a question
    assert not wrong.passed


def test_noise_before_and_after_the_answer_is_none_of_it(image: tuple[DockerEngine, Digest], golden: Golden) -> None:
    """What libraries print, to either stream, whenever they like."""
    program = (
        "import sys, runpy; print('[1, 2'); print('warning: a', file=sys.stderr, flush=True)\n"
        "import atexit; atexit.register(lambda: print('[bye]', file=sys.stderr))\n"
        "runpy.run_module('service.embed', run_name='__main__', alter_sys=True)"
    )
    result = checked(image, golden, ("python3", "-c", program))
    assert result.passed, result.detail
