"""The recipe ocr-rag, built and installed with models of the same architectures in the place of the real ones.

What differs from the recipes as they stand is listed here and nowhere else: ``RECIPE_CHANGES``, ``LLM_CHANGES``,
``BUILD_ARGUMENTS`` and the wheelhouse. Its Dockerfiles, its application and everything that travels are taken unchanged.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from demo_steps.hosts import loader_python
from testbed import stand_ins
from testbed.debian import TRIXIE_PACKAGES, python_rootfs, unpack
from testbed.engines import RunningEngine
from testbed.hub import Hub
from testbed.images import busybox_image
from testbed.llm_server import llm_server_rootfs
from testbed.netns import Network
from testbed.services import services_rootfs
from testbed.wheelhouse import wheelhouse

RECIPE = Path(__file__).resolve().parents[2] / "recipes" / "ocr-rag"
BASE, APP = "ocr-rag:base", "ocr-rag:1.0.0"
LLM = "ocr-rag-llm:1.0.0"
KIT, LLM_KIT = "ocr-rag-1.0.0-linux-amd64", "ocr-rag-llm-1.0.0-linux-amd64"
CONTAINER = "ocr-rag-app-dev"
RERANKER = "/app/reranker_models/llama-nv-reranker"
TORCH, TRANSFORMERS = "2.13.0", "5.24.0"
LICENCES = (
    *("--accept-licence", "sarahina-non-commercial-license"),
    *("--accept-licence", "nvidia-open-model-license"),
    *("--accept-licence", "cc-by-nc-sa-4.0"),
)
#: Where the images come from, how large the stand-ins are not, and how fast a busy host is not.
RECIPE_CHANGES = (
    ("from: registry", "from: engine", 4),
    ("    min_size: 4GB                     # fp32; recipe.lock has the exact bytes\n", "", 1),
    ("    min_size: 2GB                     # 1.24 G parameters in bf16\n", "", 1),
    ("load_budget: 1m", "load_budget: 20m", 1),
    ("within: 3m", "within: 20m", 5),
    ("within: 2m", "within: 20m", 1),
)
LLM_CHANGES = (("within: 3m", "within: 20m", 1),)
_LLM_SERVER = "ghcr.io/ggml-org/llama.cpp:server"
_OS = "ocr-rag-test/debian:bookworm"
#: The OS image, the kind of PyTorch, and YomiToku's stand-in, which needs no OpenCV.
BUILD_ARGUMENTS = {"BASE": _OS, "VARIANT": "cpu", "YOMITOKU_LIBRARIES": ""}
_REAL_BESIDE = {"postgres:16": "postgres", "redis:7": "redis-server"}
STUBS = ("minio/minio:RELEASE.2024-12-18T13-15-44Z", "milvusdb/milvus:v2.5.4")
BESIDE = (*_REAL_BESIDE, *STUBS)
_COMMANDS = ("RUN ", "COPY ", "ADD ")
#: ``${NAME}``, and ``${NAME:?why}``, which ends a build that has no value.
_ARGUMENT = re.compile(r"\$\{(\w+)(?::\?[^}]*)?\}")


@dataclass(frozen=True)
class OcrRagSite:
    """A connected host with the recipe below ``root``; ``hub`` has its repositories under their real names."""

    root: Path
    engine: RunningEngine
    hub: Hub

    @property
    def recipe(self) -> Path:
        """The copy of the recipe."""
        return self.root / "ocr-rag"

    @property
    def kit(self) -> Path:
        """Where ``./dev.sh bundle`` puts the kit."""
        return self.recipe / "kits" / KIT

    @property
    def llm_kit(self) -> Path:
        """Where it puts the LLM server's."""
        return self.recipe / "kits" / LLM_KIT

    def bundler(self, *arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        """``bundler ARGUMENTS`` in a process of its own; the caller looks at the exit code."""
        argv = [sys.executable, "-m", "bundler", *map(str, arguments)]
        return _run(argv, {**self.environment(), "PYTHONPATH": str(RECIPE.parents[1])}, cwd or self.root)

    def environment(self) -> dict[str, str]:
        """This host's: its engine, its cache."""
        env = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "DOCKER_"))}
        env |= self.engine.environment()
        return {**env, "DOCKER_HOST": self.engine.base_url, "XDG_CACHE_HOME": str(self.root / "cache")}

    def dev_sh(self, *arguments: str | Path, **more: str) -> subprocess.CompletedProcess[str]:
        """``./dev.sh ARGUMENTS`` in the recipe's directory, with the programs of this checkout."""
        env = {**self.environment(), "BUNDLER": f"{sys.executable} -m bundler", "PYTHONPATH": str(RECIPE.parents[1])}
        return _run([str(self.recipe / "dev.sh"), *map(str, arguments)], {**env, **more}, self.recipe)

    def fetch(self, *options: str, recipe: Path | None = None) -> subprocess.CompletedProcess[str]:
        """``bundler fetch`` of the recipe, with its licences accepted."""
        return self.bundler("fetch", recipe or self.recipe, *self.source_options, "--progress", "lines", *options)

    @property
    def source_options(self) -> tuple[str, ...]:
        """Where models and licences come from."""
        return ("--build-arg", f"BASE={_OS}", *LICENCES, "--endpoint", self.hub.endpoint)

    @property
    def build_options(self) -> tuple[str, ...]:
        """The same for a build, and what differs there."""
        arguments = [word for name, value in BUILD_ARGUMENTS.items() for word in ("--build-arg", f"{name}={value}")]
        source = (*LICENCES, "--endpoint", self.hub.endpoint)
        return (*arguments, *source, "--wheelhouse", str(wheels(self.root)), "--progress", "lines")

    def record(self) -> None:
        """``./dev.sh record``: golden outputs of the models that were fetched."""
        python = self.root / "recording-python"
        # The packages are the recorder's alone: bundler, which lists the models for it, has its own.
        path = stand_ins.environment()["PYTHONPATH"]
        python.write_text(f'#!/bin/sh\nPYTHONPATH={path} exec {stand_ins.reference_python()} "$@"\n')
        python.chmod(0o755)
        more = {"PYTHON": str(python), "HF_MODULES_CACHE": str(self.root / "modules")}
        done = self.dev_sh("record", *self.source_options, **more)
        assert done.returncode == 0, done.stderr

    def bundle(self) -> str:
        """``./dev.sh bundle``: both kits; what was printed, the builders' steps after the results."""
        done = self.dev_sh("bundle", *self.build_options)
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr


@contextlib.contextmanager
def ocr_rag_site(root: Path, engine: RunningEngine) -> Iterator[OcrRagSite]:
    """A connected host that was never asked for anything: images to start from, the recipe without a lock, the Hub."""
    copy_recipe(root / "ocr-rag")
    _import(engine, python_rootfs().path, _OS)
    for tag, program in _REAL_BESIDE.items():
        _import(engine, services_rootfs().path, tag, f'CMD ["{program}"]')
    for tag in STUBS:
        busybox_image(engine, tag)
    _import(engine, llm_server_rootfs().path, _LLM_SERVER, 'ENTRYPOINT ["/app/llama-server"]')
    with Hub(stand_ins.hub_repos()) as hub:
        try:
            yield OcrRagSite(root, engine, hub)
        finally:
            engine.docker("rmi", "--force", _OS, _LLM_SERVER, *BESIDE)


def copy_recipe(target: Path) -> None:
    """The recipe with what differs here, and nothing that was written beside it."""
    left_out = shutil.ignore_patterns("__pycache__", "recipe.lock", "*.json", "kits")
    shutil.copytree(RECIPE, target, ignore=left_out)
    for recipe, changes in ((target, RECIPE_CHANGES), (target / "llm", LLM_CHANGES)):
        text = (recipe / "recipe.yaml").read_text("utf-8")
        for old, new, count in changes:
            assert text.count(old) == count, old
            text = text.replace(old, new)
        (recipe / "recipe.yaml").write_text(text, "utf-8")


def with_checks(recipe: Path, copy: Path, *checks: Mapping[str, object]) -> Path:
    """A copy of a built recipe with these checks and no others."""
    shutil.copytree(recipe, copy, ignore=shutil.ignore_patterns("kits"))
    give_checks(copy, *checks)
    return copy


def give_checks(recipe: Path, *checks: Mapping[str, object]) -> None:
    """Put these checks in the place of the recipe's."""
    head, _, _ = (recipe / "recipe.yaml").read_text("utf-8").partition("\nchecks:")
    (recipe / "recipe.yaml").write_text(f"{head}\nchecks: {json.dumps(checks)}\n", "utf-8")


def wheels(root: Path) -> Path:
    """A directory with all wheels that the base asks for; 300 MB are downloaded the first time."""
    lines = (RECIPE / "requirements.txt").read_text("utf-8").splitlines()
    wanted = [line.partition("#")[0].strip() for line in lines]
    wanted = [*filter(None, wanted), f"torch=={TORCH}", f"transformers=={TRANSFORMERS}"]
    found = root / "wheels"
    if not found.is_dir():
        found.mkdir()
        for wheel in (*wheelhouse(wanted).iterdir(), stand_ins.yomitoku_wheel()):
            shutil.copyfile(wheel, found / wheel.name)
    return found


def _import(engine: RunningEngine, tar: Path, tag: str, *changes: str) -> None:
    path = "ENV PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    options = [option for change in (path, *changes) for option in ("--change", change)]
    engine.docker("import", *options, str(tar), tag)


@dataclass(frozen=True)
class InstalledSite:
    """A host without a network, with the kit on a medium; what is typed there is typed below ``root``."""

    root: Path
    network: Network
    engine: RunningEngine
    kit: Path

    @property
    def files(self) -> Path:
        """Where the payload was placed."""
        return self.root / "files"

    def environment(self) -> dict[str, str]:
        """Nothing of the connected host: its own engine and client, with Compose, and a loader that knows its state."""
        path = f"{self.root / 'bin'}:{self.engine.run_dir / 'bin'}:/usr/sbin:/usr/bin:/sbin:/bin"
        return {
            **{"PATH": path, "LANG": "C.UTF-8", "HOME": str(self.root), "DOCKER_HOST": self.engine.base_url},
            "BUNDLER": str(self.root / "bin" / "bundler"),
        }

    def run(self, *argv: str | Path, timeout_s: float = 3600) -> subprocess.CompletedProcess[str]:
        """A command there, in the directory of the payload files; the caller looks at the exit code."""
        return _run(self.network.inside(list(map(str, argv))), self.environment(), self.files, timeout_s)

    def shell(self, line: str) -> subprocess.CompletedProcess[str]:
        """A line as a person types it there."""
        return self.run("bash", "-c", line)

    def docker(self, *arguments: str) -> str:
        """The engine's client there; its output."""
        done = self.run("docker", *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def loader(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """``python3 bundler.pyz ARGUMENTS``, of the kit."""
        return self.run(self.root / "bin" / "bundler", *arguments)


def isolated_site(root: Path, network: Network, engine: RunningEngine, kit: Path) -> InstalledSite:
    """The host before anything was installed."""
    (root / "bin").mkdir(parents=True)
    (root / "files").mkdir()
    compose = unpack("trixie", TRIXIE_PACKAGES).path / "usr/libexec/docker/cli-plugins/docker-compose"
    (root / "bin" / "docker-compose").symlink_to(compose)
    loader = root / "bin" / "bundler"
    # State of its own, so that hosts of several tests do not mix: the words stand behind whatever is typed.
    loader.write_text(f'#!/bin/sh\nexec {loader_python()} {kit}/bundler.pyz "$@" --state-dir {root}/state\n')
    loader.chmod(0o755)
    return InstalledSite(root, network, engine, kit)


def checks_of(kit: Path) -> dict[str, dict[str, object]]:
    """What the rehearsal found, by the checks' names."""
    document = json.loads((kit / "papers" / "checks.json").read_text("utf-8"))
    return {check["name"]: check for check in document["checks"]}


def instructions_of(dockerfile: Path) -> list[str]:
    """The steps of the last stage that leave something in an image's history, each on one line."""
    return [line for line in _stages(dockerfile)[-1] if not line.startswith("ARG ")]


def commands_of(dockerfile: Path) -> set[str]:
    """What is run and copied in all stages: an image's history knows nothing of the earlier ones, the builder tells them.

    With the values of arguments, as BuildKit tells commands.
    """
    steps = [line for stage in _stages(dockerfile) for line in stage]
    defaults = (line.removeprefix("ARG ").partition("=") for line in steps if line.startswith("ARG "))
    values = {name: value.strip('"') for name, _, value in defaults}
    values |= {"TRANSFORMERS_VERSION": TRANSFORMERS, **BUILD_ARGUMENTS}
    filled = (_ARGUMENT.sub(lambda found: values.get(found[1], found[0]), step) for step in steps)
    return {" ".join(step.split()) for step in filled if step.startswith(_COMMANDS)}


def told_commands(build: str, image: str) -> set[str]:
    """The same of what a build printed, ``   IMAGE: RUN …``."""
    told = (line.strip().partition(f"{image}: ")[2] for line in build.splitlines() if f" {image}: " in line)
    return {" ".join(line.split()) for line in told if line.startswith(_COMMANDS)}


def _stages(dockerfile: Path) -> list[list[str]]:
    """The steps of each stage, each on one line; before the first stands what comes before any ``FROM``."""
    text = re.sub(r"\\\n", " ", re.sub(r"(?m)^\s*#.*\n", "", dockerfile.read_text("utf-8")))
    stages = re.split(r"(?m)^FROM .*$", text)
    return [[" ".join(line.split()) for line in stage.splitlines() if line.strip()] for stage in stages]


def _run(argv: list[str], env: dict[str, str], cwd: Path, timeout_s: float = 3600) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        argv, env=env, cwd=cwd, capture_output=True, text=True, timeout=timeout_s, check=False, stdin=subprocess.DEVNULL
    )
