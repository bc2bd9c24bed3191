"""Row 4 of ocr-rag: the original's first build, which a CDN ended in the middle of the reranker, told again."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed import stand_ins
from testbed.engines import RunningEngine
from testbed.hub import Hub
from tests.support.ocr_rag_site import OcrRagSite, copy_recipe
from tests.support.ocr_rag_told import SHELL_SIZE, Fetched, fetch_through_a_failure


@pytest.fixture(scope="module")
def site(docker26: RunningEngine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OcrRagSite]:
    root = tmp_path_factory.mktemp("connected")
    copy_recipe(root / "ocr-rag")
    with Hub(stand_ins.hub_repos()) as hub:
        yield OcrRagSite(root, docker26, hub)


@pytest.fixture(scope="module")
def fetched(site: OcrRagSite) -> Fetched:
    return fetch_through_a_failure(site)


def test_a_cdn_that_goes_away_in_the_middle_of_the_reranker_ends_the_run_and_names_the_file(fetched: Fetched) -> None:
    assert fetched.first_code == 4, fetched.first
    assert "model.safetensors" in fetched.first
    assert "reranker" in fetched.first


def test_the_next_run_asks_for_nothing_that_is_there_and_goes_on_inside_the_file(fetched: Fetched) -> None:
    assert fetched.asked_again
    assert not [path for path in fetched.asked_again if stand_ins.SARASHINA in path]
    reranker = [path for path in fetched.asked_again if stand_ins.RERANKER in path]
    assert reranker
    assert not [path for path in reranker if re.search(r"bytes=0-|None$", path)], reranker


def test_a_reranker_of_72_kb_is_refused_before_anything_is_built(site: OcrRagSite, tmp_path: Path) -> None:
    shell = tmp_path / "shell"
    shell.mkdir()
    weights = site.hub.snapshot(stand_ins.RERANKER, "main")
    assert weights is not None
    for file in weights.files.values():
        content = file.source.read_bytes()
        is_cut = file.path == "model.safetensors"
        (shell / file.path).write_bytes(content[:SHELL_SIZE] if is_cut else content)
    recipe = tmp_path / "recipe"
    copy_recipe(recipe)
    try:
        site.hub.push(stand_ins.RERANKER, shell)
        refused = site.fetch(recipe=recipe)
    finally:
        site.hub.push(stand_ins.RERANKER, stand_ins.stand_ins() / stand_ins.RERANKER)
    assert refused.returncode == 4, refused.stderr
    assert "model.safetensors" in refused.stderr
    assert "reranker" in refused.stderr
