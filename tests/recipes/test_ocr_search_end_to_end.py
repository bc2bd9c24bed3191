"""ocr-search all the way with real weights: built, installed on a host without a network, asked, and used in a browser."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bundler.builder.source_policy.lint import lint_paths
from demo_steps.hosts import loader_python
from demo_steps.sources import ROOT
from testbed import debian, weights
from testbed.browser_packages import PACKAGES
from tests.support.ocr_search_site import APP, RECIPE, SERVED, Site, ocr_search_site
from tests.support.ocr_search_visit import NARROW, WIDE

pytestmark = pytest.mark.engine
PATHS = {"minilm": "/app/models/minilm", "ppocr": "/app/models/ppocr"}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with ocr_search_site(tmp_path_factory.mktemp("ocr-search")) as site:
        yield site


@pytest.fixture(scope="module")
def address(site: Site) -> Iterator[str]:
    """The service as the compose file that was placed starts it: only its host reaches it, by the container's address."""
    program = debian.unpack("trixie", debian.TRIXIE_PACKAGES).path / "usr/libexec/docker/cli-plugins/docker-compose"
    compose = (str(program), "--file", str(site.isolated.folder / "files" / "compose.yaml"))
    up = site.run(*compose, "up", "--detach")
    assert up.returncode == 0, up.stderr
    where = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
    try:
        yield f"http://{site.docker('inspect', '--format', where, SERVED).strip()}:8080"
    finally:
        site.run(*compose, "down")


_ASK = """
import sys, urllib.request
body = sys.argv[2].encode() if sys.argv[2:] else None
with urllib.request.urlopen(urllib.request.Request(sys.argv[1], body), timeout=120) as answer:
    print(answer.read().decode())
"""


def ask(site: Site, url: str, body: object = None) -> Any:
    data = [] if body is None else [json.dumps(body)]
    done = site.run(loader_python(), "-c", _ASK, url, *data)
    assert done.returncode == 0, done.stderr + site.docker("logs", SERVED)
    return json.loads(done.stdout)


def test_lint_finds_nothing() -> None:
    assert not lint_paths([RECIPE]).findings


def test_the_kit_was_rehearsed_and_the_installation_checked_the_same(site: Site) -> None:
    checks = site.checks()
    assert {"answers", "vectors", "loads", "serves"} <= set(checks)
    assert all(check["passed"] for check in checks.values())
    assert 0 < checks["vectors"]["measured"]["largest_difference"] < 1e-5
    assert set(checks["loads"]["measured"]) == {"cold_s", "warm_s"}, checks["loads"]["detail"]
    assert site.run("ip", "route").stdout == ""


#: All ONNX files of an image, but for the examples of some hundred bytes that onnxruntime brings.
_ONNX = """
import json, os
walked = [(at, name) for at, _, names in os.walk("/") for name in names if name.endswith(".onnx")]
print(json.dumps([os.path.join(at, name) for at, name in walked if not at.endswith("onnxruntime/datasets")]))
"""


def test_every_model_is_in_the_base_image_at_its_path_and_no_other(site: Site) -> None:
    bundle = json.loads((site.built.kit / "head" / "bundle.json").read_text("utf-8"))
    assert {model["name"]: model["path"] for model in bundle["models"]} == PATHS
    found = site.docker("run", "--rm", "--network", "none", "ocr-search:base", "python", "-c", _ONNX)
    locked = {f"{model['path']}/{file['path']}" for model in bundle["models"] for file in model["files"]}
    assert set(json.loads(found)) == {path for path in locked if path.endswith(".onnx")}
    assert len(bundle["models"][1]["files"]) == 2
    config = json.loads(site.docker("image", "inspect", APP))[0]["Config"]
    assert config["User"] == "10001:10001"
    assert config["Labels"]["ppocr.model"].partition("@")[0] == weights.PPOCR.repo_id
    audit = site.run(loader_python(), "bundler.pyz", "audit", ".", "--state-dir", str(site.isolated.state))
    assert audit.returncode == 0, audit.stdout + audit.stderr


def test_a_hidden_model_is_an_error_and_nothing_is_downloaded(site: Site) -> None:
    hidden = ("--network", "none", "--tmpfs", PATHS["ppocr"])
    done = site.run("docker", "run", "--rm", "--read-only", *hidden, APP)
    assert done.returncode == 1
    assert done.stderr.startswith("error: model at /app/models/ppocr: missing onnx/PP-OCRv6/det/"), done.stderr
    assert "build the image again with `bundler build`" in done.stderr
    assert "Traceback" not in done.stderr


def test_recall_in_the_container(site: Site) -> None:
    alone = ("--network", "none", "--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL")
    out = site.docker("run", "--rm", *alone, APP, "python", "-m", "service.recall", timeout_s=600)
    found = re.search(r"recall@1 after the rerank: (\d\.\d\d) \(\d+ of 20, 10 pages\)", out)
    assert found is not None, out
    assert float(found[1]) >= 0.9


def test_it_is_asked_over_http(site: Site, address: str) -> None:
    deadline = time.monotonic() + 400
    while True:  # the first page that it reads is the bakery's
        done = site.run(loader_python(), "-c", _ASK, f"{address}/health")
        if done.returncode == 0 and json.loads(done.stdout)["unread"] < 10:
            break
        assert time.monotonic() < deadline, site.docker("logs", SERVED)
        time.sleep(0.5)
    question = {"query": "Which ingredient has to be left out of the bread?", "top_k": 1}
    (hit,) = ask(site, f"{address}/search", question)["hits"]
    assert (hit["name"], "walnuts" in hit["text"]) == ("bakery.jpg", True)
    assert all(len(line["box"]) == 4 for line in hit["lines"])
    assert site.docker("logs", SERVED).count("Traceback") == 0


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory, site: Site) -> Path:
    """A page of the image under another name, as a person would have it on a disk."""
    path = tmp_path_factory.mktemp("scan") / "keepers-log.jpg"
    command = ["docker", "run", "--rm", "--network", "none", APP, "cat", "/app/pages/lighthouse.jpg"]
    done = subprocess.run(
        site.isolated.inside(command), env=dict(site.isolated.env), capture_output=True, timeout=120, check=True
    )
    path.write_bytes(done.stdout)
    return path


@pytest.fixture(scope="module")
def seen(site: Site, address: str, scan: Path) -> dict[str, Any]:
    """What a real Chromium on the isolated host sees of the installed container."""
    debian.install_host_packages(PACKAGES)
    pictures = scan.parent
    command = [sys.executable, "-m", "tests.support.ocr_search_visit", address + "/", str(scan), str(pictures)]
    env = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'scripts'}", "HOME": str(pictures)}
    done = subprocess.run(
        site.isolated.inside(command), env=env, cwd=ROOT, capture_output=True, text=True, timeout=900, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:] + site.docker("logs", SERVED)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_the_page_reads_an_upload_and_shows_how_far_it_is(seen: dict[str, Any]) -> None:
    assert "read" in seen["states"]
    assert set(seen["states"]) - {"read"}, "it was never seen on its way"
    assert seen["lines"] == seen["boxes"] == 8


def test_the_answer_is_marked_on_the_picture_of_its_page(seen: dict[str, Any]) -> None:
    assert "Marianne" in seen["hits"][0]
    assert re.search(r"0\.\d{3} \(by vector -?0\.\d{3}\), keepers-log\.jpg$", seen["hits"][0])
    assert seen["title"] == "keepers-log.jpg"
    assert "the best on keepers-log.jpg" in seen["status"]
    assert seen["best_boxes"] == 1
    assert seen["hit_boxes"] == 4
    assert seen["boxes_lie_on_the_picture"]


def test_the_page_is_used_by_keyboard_and_everything_has_a_name(seen: dict[str, Any]) -> None:
    assert seen["unnamed"] == []
    assert seen["outline"] == "solid"
    assert seen["walked_caption"].startswith("Answer: ")


def test_the_page_fits_narrow_screens_and_dark_ones(seen: dict[str, Any]) -> None:
    assert NARROW[0] < WIDE[0]
    assert seen["narrow_fits"]
    assert seen["dark_background"] == "rgb(21, 24, 28)"


def test_the_page_asks_its_own_host_alone_and_complains_of_nothing(seen: dict[str, Any], address: str) -> None:
    assert seen["asked_hosts"] == [address.removeprefix("http://")]
    assert seen["console"] == []
