"""The quickstart all the way with real weights, by the demo's own steps, and then a closer look at what arrived."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from demo_steps import carrying
from demo_steps.command_line import last_line
from demo_steps.demonstration import Shown, demonstration
from demo_steps.hosts import loader_python
from demo_steps.names import APP
from demo_steps.stage import Stage
from testbed.debian import TRIXIE_PACKAGES, unpack
from testbed.weights import REPO_ID

pytestmark = pytest.mark.engine
MODEL = "/app/models/minilm"
_SUMS = f"""
import hashlib, json, pathlib
root = pathlib.Path("{MODEL}")
files = [path for path in sorted(root.rglob("*")) if not path.is_dir()]
print(json.dumps({{str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}}))
"""


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    return Stage(tmp_path_factory.mktemp("logs"))


@pytest.fixture(scope="module")
def shown(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    """The demo when all its steps are through, with a cache of its own; both hosts still stand."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        with demonstration(stage, tmp_path_factory.mktemp("demo"), online=False) as shown:
            yield shown


def there(shown: Shown, *argv: str) -> subprocess.CompletedProcess[str]:
    """A command on the isolated host."""
    command = shown.isolated.inside(argv)
    env, kit = dict(shown.isolated.env), shown.built.kit
    return subprocess.run(command, env=env, cwd=kit, capture_output=True, text=True, timeout=900, check=False)


def docker(shown: Shown, *arguments: str) -> str:
    done = there(shown, "docker", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def printed(shown: Shown, *arguments: str) -> str:
    """What a container printed to its end, by its log: a client that is attached misses a quick one's now and then."""
    container = docker(shown, "create", "--network", "none", *arguments).strip()
    try:
        docker(shown, "start", container)
        code = docker(shown, "wait", container).strip()
        text = docker(shown, "logs", container)
    finally:
        docker(shown, "rm", "--force", "--volumes", container)
    assert code == "0", text
    return text


@pytest.fixture(scope="module")
def bundle(shown: Shown) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((shown.built.kit / "head" / "bundle.json").read_text())
    return document


@pytest.fixture(scope="module")
def inspected(shown: Shown) -> dict[str, Any]:
    (document,) = json.loads(docker(shown, "image", "inspect", APP))
    return dict(document)


def test_all_steps_went_through(stage: Stage, shown: Shown) -> None:
    assert stage.failed is None
    assert [step.title for step in stage.steps][-5:] == [
        "bundler build",
        "A host without a network",
        "python3 bundler.pyz install",
        "One question to the installed image",
        "python3 bundler.pyz audit",
    ]
    line = last_line(stage, shown, 12.0)
    assert re.fullmatch(r"demo: ok: kit \d+ MB of \d+ MB of layers, model 9\d MB; build \d+ s, .*; all 12 s", line)


def test_the_answer_is_the_passage_and_not_an_echo(shown: Shown) -> None:
    assert "Fresnel" in shown.answer
    assert "Fresnel" not in carrying.QUESTION


def test_the_host_has_no_network(shown: Shown, stage: Stage) -> None:
    assert there(shown, "ip", "route").stdout == ""
    (step,) = (step for step in stage.steps if step.title == "A host without a network")
    assert "Network is unreachable" in step.log.read_text()


def test_vectors_were_compared_and_loads_were_measured(shown: Shown) -> None:
    document = json.loads((shown.built.kit / "papers" / "checks.json").read_text())
    found = {check["name"]: check for check in document["checks"]}
    assert 0 < found["vectors"]["measured"]["largest_difference"] < 1e-5
    assert set(found["loads"]["measured"]) == {"cold_s", "warm_s"}, found["loads"]["detail"]
    assert all(check["passed"] for check in found.values())


# -- the service, as it serves

_ASK = """
import json, urllib.request
body = json.dumps({"query": "Why do ships see a lamp from afar?", "top_k": 1}).encode()
with urllib.request.urlopen(urllib.request.Request("http://127.0.0.1:8080/search", body), timeout=120) as answer:
    print(answer.read().decode())
"""
LOCKED_UP = ("--network", "none", "--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL")


def require_service(shown: Shown, container: str) -> None:
    """Its endpoint answers rightly, the health check of the image holds, and it ends in order."""
    asked = ("docker", "exec", container, "python", "-m", "service.healthcheck")
    wait_until(lambda: there(shown, *asked).returncode == 0, shown, container)
    (hit,) = json.loads(docker(shown, "exec", container, "python", "-c", _ASK))["hits"]
    assert (hit["source"], "Fresnel" in hit["text"]) == (carrying.ANSWERED_BY, True)
    docker(shown, "stop", "--time", "120", container)
    assert docker(shown, "inspect", "--format", "{{.State.ExitCode}}", container).strip() == "0"


def wait_until(true: Callable[[], bool], shown: Shown, container: str) -> None:
    deadline = time.monotonic() + 600
    while not true():
        assert time.monotonic() < deadline, docker(shown, "logs", container)
        time.sleep(0.5)


def health(shown: Shown, container: str) -> str:
    """What the engine found with the image's health check."""
    return docker(shown, "inspect", "--format", "{{.State.Health.Status}}", container).strip()


def test_the_endpoint_answers_in_a_container_that_may_do_nothing(shown: Shown) -> None:
    often = ("--health-interval", "1s")  # the image's own is half a minute, which nobody needs to wait for here
    options = (*LOCKED_UP, "--security-opt", "no-new-privileges", *often)
    docker(shown, "run", "--detach", "--name", "endpoint", *options, APP)
    try:
        wait_until(lambda: health(shown, "endpoint") == "healthy", shown, "endpoint")
        require_service(shown, "endpoint")
    finally:
        docker(shown, "rm", "--force", "endpoint")


def compose(shown: Shown, *arguments: str) -> str:
    """Debian 13's Compose with the file that the installation placed."""
    program = unpack("trixie", TRIXIE_PACKAGES).path / "usr/libexec/docker/cli-plugins/docker-compose"
    done = there(shown, str(program), "--file", str(shown.isolated.folder / "files" / "compose.yaml"), *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_compose_starts_the_service_from_the_file_that_was_placed(shown: Shown) -> None:
    (service,) = json.loads(compose(shown, "config", "--format", "json"))["services"].values()
    assert (service["image"], service["pull_policy"], service["read_only"]) == (APP, "never", True)
    compose(shown, "up", "--detach")
    try:
        require_service(shown, service["container_name"])
    finally:
        compose(shown, "down")


# -- the image


def test_the_model_is_at_its_path_with_the_locked_digests(shown: Shown, bundle: dict[str, Any]) -> None:
    sums = printed(shown, "--read-only", APP, "python", "-c", _SUMS)
    (model,) = bundle["models"]
    locked = {file["path"]: file["sha256"].removeprefix("sha256:") for file in model["files"]}
    assert model["path"] == MODEL
    assert {"model.safetensors", "tokenizer.json", "1_Pooling/config.json"} <= set(locked)
    assert json.loads(sums) == locked
    lock = (shown.built.kit.parents[1] / "quickstart" / "recipe.lock").read_text()
    assert all(digest in lock for digest in locked.values())
    assert model["commit"] in lock


def test_the_service_is_nobody_and_can_write_nothing(shown: Shown) -> None:
    program = f"""
import os
print(os.getuid(), os.getgid())
for path in ("/app/x", "/tmp/x", "{MODEL}/x", "{MODEL}/config.json", "/x", "/opt/venv/x"):
    try:
        open(path, "a")
        print("wrote", path)
    except OSError:
        pass
"""
    assert printed(shown, "--read-only", APP, "python", "-c", program) == "10001 10001\n"
    # Without --read-only too, the model and the program are not its own.
    writable = printed(shown, APP, "python", "-c", program).splitlines()
    assert writable == ["10001 10001", "wrote /tmp/x"]


def test_inspect_reads_like_an_image_that_an_engine_built(inspected: dict[str, Any], bundle: dict[str, Any]) -> None:
    config = inspected["Config"]
    assert (inspected["Os"], inspected["Architecture"]) == ("linux", "amd64")
    assert inspected["RepoTags"] == [APP]
    assert (config["User"], config["WorkingDir"]) == ("10001:10001", "/app")
    assert config["Cmd"] == ["python", "-m", "service.server"]
    assert config["ExposedPorts"] == {"8080/tcp": {}}
    assert config["Healthcheck"]["Test"] == ["CMD", "python", "-m", "service.healthcheck"]
    env = dict(entry.split("=", 1) for entry in config["Env"])
    assert env["PATH"].startswith("/opt/venv/bin:")
    assert env["HF_HUB_OFFLINE"] == "1"
    (model,) = bundle["models"]
    assert config["Labels"]["minilm.model"] == f"{REPO_ID}@{model['commit']}"
    assert config["Labels"]["org.opencontainers.image.version"] == "1.0.0"
    image = next(image for image in bundle["images"] if image["reference"].endswith(APP))
    assert inspected["RootFS"]["Layers"] == [layer["diff_id"] for layer in image["layers"]]
    assert inspected["Id"] == image["image_id"]


def test_nothing_of_the_build_host_is_in_the_image(shown: Shown, inspected: dict[str, Any]) -> None:
    words = json.dumps(inspected["Config"]) + docker(shown, "history", "--no-trunc", APP)
    assert not re.search(r"ca-certificates\.crt|ca\.pem|_CERT|CA_BUNDLE|127\.0\.0\.1|bundler-private", words)
    listing = printed(shown, APP, "sh", "-c", "ls -a / /app; pip --version 2>&1; true")
    assert "bundler" not in listing
    assert "not found" in listing


def test_history_reads_like_that_of_an_image_that_an_engine_built(shown: Shown, inspected: dict[str, Any]) -> None:
    lines = docker(shown, "history", "--no-trunc", "--human=false", "--format", "{{json .}}", APP).splitlines()
    history = [json.loads(line) for line in lines]  # the newest first
    created_by = [entry["CreatedBy"] for entry in history]
    instructions = (
        *('CMD ["python" "-m" "service.server"]', "HEALTHCHECK", "EXPOSE", "/app/service/", "/app/texts/"),
        *(
            "USER 10001:10001",
            "WORKDIR /app",
            "ENV PATH=/opt/venv/bin",
            "useradd --uid 10001",
            "python3 -m venv /opt/venv",
        ),
    )
    found = [next(n for n, text in enumerate(created_by) if step in text) for step in instructions]
    assert found == sorted(found)
    assert len(set(found)) == len(found)
    assert all(entry["CreatedBy"] or entry["Comment"].startswith("Imported") for entry in history)
    layers = len(inspected["RootFS"]["Layers"])
    lowest = history[-1]
    assert REPO_ID in lowest["CreatedBy"] + lowest["Comment"]
    assert int(lowest["Size"]) > 90_000_000
    assert layers <= len(history)
    assert sum(int(entry["Size"]) for entry in history) == inspected["Size"]


# -- the kit, and what else a person may type


def test_coreutils_alone_read_the_kit(shown: Shown) -> None:
    done = there(shown, "sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS")
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_the_kit_verifies_there(shown: Shown) -> None:
    done = there(shown, loader_python(), "bundler.pyz", "verify", ".", "--progress", "none")
    assert done.returncode == 0, done.stdout + done.stderr


def test_payload_files_arrived(shown: Shown) -> None:
    compose = shown.isolated.folder / "files" / "compose.yaml"
    assert compose.read_bytes() == (carrying.RECIPE / "compose.yaml").read_bytes()


def test_installing_again_says_that_there_is_nothing_to_do(shown: Shown, tmp_path: Path) -> None:
    before = sorted(docker(shown, "image", "ls", "--all", "--quiet", "--no-trunc").split())
    assert "nothing to do" in carrying.install(Stage(tmp_path), shown.isolated, shown.built)
    assert sorted(docker(shown, "image", "ls", "--all", "--quiet", "--no-trunc").split()) == before


def test_the_checkout_is_not_littered(shown: Shown) -> None:
    assert not (carrying.RECIPE / "recipe.lock").exists()
    assert shown.built.kit.is_relative_to(shown.isolated.folder.parent)
