"""``dev.sh check`` of ocr-rag: what it refuses. Images of some kilobytes stand for the service; the commands are the real ones."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from testbed.debian import TRIXIE_PACKAGES, unpack
from testbed.engines import RunningEngine
from testbed.images import busybox_image
from tests.support.ocr_rag_site import APP, BASE, CONTAINER, RECIPE, RERANKER

_PYTHON = """\
#!/bin/sh
case "$*" in
    *seconds*) echo "$LOAD_S" ;;
    *health*) echo '{"status": "ready"}' ;;
    *backend.no_fallback*) echo "$NO_FALLBACK"; [ "$NO_FALLBACK" = none ] ;;
    *backend.selfcheck*) echo "all models loaded in 1.0 s and answer" ;;
esac
"""
_DOCKERFILE = f"""\
FROM busybox-ocr-rag:1
COPY python /bin/python
RUN for model in /app/models/sarashina {RERANKER} /app/models/yomitoku/models--a--b; do \\
    mkdir -p "$model" && echo weights >"$model/model.safetensors"; done
COPY POLICY.md /app/
ENV LOAD_S=6.1 NO_FALLBACK=none
LABEL sarashina.model=a/b@1 reranker.model=c/d@2
CMD ["sleep", "600"]
"""


@dataclass(frozen=True)
class Desk:
    """A directory with ``dev.sh``, as an installation places it, and an engine with the two images."""

    folder: Path
    engine: RunningEngine

    def start(self, *options: str, command: tuple[str, ...] = ()) -> None:
        """The container, whatever its image says that it should be."""
        self.engine.docker("run", "--detach", "--network", "none", "--name", CONTAINER, *options, APP, *command)

    def run(self, command: str, *, bundler: str = "true") -> subprocess.CompletedProcess[str]:
        """``./dev.sh COMMAND``; ``bundler`` is what stands for the loader."""
        env = {**os.environ, **self.engine.environment(), "DOCKER_HOST": self.engine.base_url, "BUNDLER": bundler}
        env["PATH"] = f"{self.folder.parent / 'bin'}:{env['PATH']}"
        return subprocess.run(
            [str(self.folder / "dev.sh"), command], env=env, capture_output=True, text=True, timeout=300, check=False
        )

    def check(self, *, bundler: str = "true") -> subprocess.CompletedProcess[str]:
        """``./dev.sh check``."""
        return self.run("check", bundler=bundler)


@pytest.fixture
def desk(docker26: RunningEngine, tmp_path: Path) -> Iterator[Desk]:
    folder = tmp_path / "files"
    folder.mkdir()
    for name in ("dev.sh", "compose.yaml"):
        shutil.copy(RECIPE / name, folder)
    (tmp_path / "bin").mkdir()
    compose = unpack("trixie", TRIXIE_PACKAGES).path / "usr/libexec/docker/cli-plugins/docker-compose"
    (tmp_path / "bin" / "docker-compose").symlink_to(compose)
    context = tmp_path / "context"
    context.mkdir()
    shutil.copy(RECIPE / "POLICY.md", context)
    (context / "python").write_text(_PYTHON)
    (context / "python").chmod(0o755)
    (context / "Dockerfile").write_text(_DOCKERFILE)
    busybox_image(docker26, "busybox-ocr-rag:1")
    docker26.docker("build", "--quiet", "--tag", BASE, "--tag", APP, str(context))
    try:
        yield Desk(folder, docker26)
    finally:
        docker26.docker("rm", "--force", "--volumes", CONTAINER)
        docker26.docker("rmi", BASE, APP, "busybox-ocr-rag:1")


def failures(done: subprocess.CompletedProcess[str]) -> list[str]:
    return [line.split()[1] for line in done.stdout.splitlines() if line.startswith("FAILED")]


def test_all_is_well(desk: Desk) -> None:
    desk.start("--tmpfs", "/tmp", "--volume", "/data")
    done = desk.check()
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert [line.split()[1] for line in lines if line.startswith("ok ")] == [*"123456", *"12345"]
    assert "6.1 s, of 10 s" in done.stdout


@pytest.mark.parametrize(
    "options",
    [
        ("--volume", "/app/reranker_models"),
        ("--volume", "/app"),
        ("--volume", f"{RERANKER}"),
        ("--tmpfs", f"{RERANKER}/onnx"),
    ],
)
def test_a_mount_at_above_or_below_a_model_is_refused(desk: Desk, options: tuple[str, ...]) -> None:
    desk.start(*options)
    done = desk.check()
    assert done.returncode == 1
    assert "take the volume away" in done.stderr
    assert "ok" not in done.stdout


def test_a_load_that_takes_too_long_is_told(desk: Desk) -> None:
    desk.start("--env", "LOAD_S=12.5")
    done = desk.check()
    assert (done.returncode, failures(done)) == (1, ["4", "4"])
    assert "12.5 s, of 10 s" in done.stdout


def test_a_service_that_speaks_of_the_hub_is_told(desk: Desk) -> None:
    desk.start(command=("sh", "-c", "echo Retrying: huggingface.co; sleep 600"))
    while "Retrying" not in desk.engine.docker("logs", CONTAINER):
        time.sleep(0.2)
    done = desk.check()
    assert (done.returncode, failures(done)) == (1, ["5"])
    assert "Retrying: huggingface.co" in done.stdout


def test_what_audits_and_checks_find_is_told(desk: Desk) -> None:
    desk.start()
    done = desk.check(bundler="false")
    assert (done.returncode, failures(done)) == (1, ["2", "6"])


def test_nothing_runs_is_no_pass(desk: Desk) -> None:
    done = desk.check()
    assert done.returncode == 1
    assert "./dev.sh restart" in done.stderr


def test_an_image_without_weights_or_labels_is_told(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(f"FROM {BASE}\nRUN rm -r {RERANKER}/*\nLABEL reranker.model=\n")
    desk.engine.docker("build", "--quiet", "--tag", BASE, str(tmp_path))
    desk.start()
    done = desk.check()
    assert (done.returncode, failures(done)) == (1, ["1", "1"])
    assert f"no weights at {RERANKER} in {BASE}" in done.stdout


@pytest.mark.parametrize(
    ("line", "condition", "told"),
    [
        ("ENV NO_FALLBACK=names-a/b", "2", "names-a/b"),
        ("RUN echo Models are downloaded. >/app/POLICY.md", "3", ""),
        ("RUN rm /app/POLICY.md", "3", "POLICY.md"),
    ],
)
def test_an_image_with_a_fallback_or_without_the_rule_is_told(
    desk: Desk, tmp_path: Path, line: str, condition: str, told: str
) -> None:
    (tmp_path / "Dockerfile").write_text(f"FROM {APP}\n{line}\n")
    desk.engine.docker("build", "--quiet", "--tag", APP, str(tmp_path))
    desk.start()
    done = desk.check()
    assert (done.returncode, failures(done)) == (1, [condition])
    assert told in done.stdout


def test_restart_starts_what_compose_says_and_waits_for_its_answer(desk: Desk) -> None:
    try:
        for _ in range(2):  # the second time one is there already
            done = desk.run("restart")
            assert done.returncode == 0, done.stdout + done.stderr
            assert '{"status": "ready"}' in done.stdout
        inspected = desk.engine.docker(
            "inspect", "--format", "{{.HostConfig.ReadonlyRootfs}} {{.Config.User}} {{.Config.Image}}", CONTAINER
        )
        assert inspected.split() == ["true", "10001:10001", APP]
        checked = desk.check()
        assert checked.returncode == 0, checked.stdout + checked.stderr
        told = desk.run("status").stdout
        assert "sarashina.model: a/b@1" in told
        assert CONTAINER in told
    finally:
        desk.engine.docker("rm", "--force", CONTAINER)
        desk.engine.docker("network", "rm", "files_inside")


def test_a_service_that_ends_is_told_with_its_last_words(desk: Desk, tmp_path: Path) -> None:
    words = 'CMD ["sh", "-c", "echo error: model at /app/models/sarashina: no such directory; exit 1"]'
    (tmp_path / "Dockerfile").write_text(f"FROM {APP}\nRUN rm /bin/python\n{words}\n")
    desk.engine.docker("build", "--quiet", "--tag", APP, str(tmp_path))
    try:
        done = desk.run("restart")
        assert done.returncode == 1
        assert "model at /app/models/sarashina: no such directory" in done.stderr
    finally:
        desk.engine.docker("rm", "--force", CONTAINER)
        desk.engine.docker("network", "rm", "files_inside")
