"""Record what the models of this recipe make of a few inputs, for its golden checks.

    bundler fetch .. --json | python record.py          # sarashina.json, reranker.json and yomitoku.json, beside this file

The models are those of recipe.lock, laid out from bundler's cache. The programs are the examples of their cards, in float32
and with one input at a time: torch, transformers and yomitoku, no line of the service, and nothing that a model's folder
says about pooling. YomiToku finds its models by their names, as it always does. A service that goes wrong, or a model that
was broken before it was built into an image, therefore differs from what is recorded here. Look at the outputs before you
keep them: the texts of one subject should be near each other, and `draw_pages.py` says what stands on the pages.

    pip install torch transformers==RELEASE yomitoku==0.14.0    # RELEASE: transformers_version of the reranker's config.json
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"

import numpy as np
import torch
import transformers
import yomitoku
from huggingface_hub import constants
from PIL import Image
from transformers import AutoModel, AutoModelForSequenceClassification, AutoTokenizer
from yomitoku.schemas import DocumentAnalyzerSchema

HERE = Path(__file__).resolve().parent
PAGES = HERE.parent / "backend" / "pages"
#: CHANGE: with another model, as its card says: which token's hidden state is the vector ("last", "first", or the "mean" of
#: all), and whether its length is made 1.
POOLING, NORMALIZE = "last", False
#: CHANGE: with another model, the prompt of its card, here and in backend/services/reranker/llama_nv.py. Both taken from the
#: old one, they agree on wrong scores.
PROMPT = "question:{query} \n \n passage:{passage}"
TEXTS = (
    "こんにちは",
    "ドキュメント1",
    "東京の図書館で日本の歴史についての本を借りました。",
    "The library in Tokyo lends books about the history of Japan, and it is open until eight in the evening.",
)
PAIRS = (
    ("テスト", "ドキュメント1"),
    ("テスト", "これはテストのための文書です。"),
    ("Where can I borrow books?", "The library in Tokyo lends books about the history of Japan."),
    ("Where can I borrow books?", "雨が降っています。"),
)
PICTURES = ("library.png", "opening-hours.png")


def sarashina(directory: Path) -> list[list[float]]:
    """What ``POOLING`` makes of each text's hidden states; one text is never padded."""
    tokenizer = AutoTokenizer.from_pretrained(str(directory), local_files_only=True)
    model = AutoModel.from_pretrained(str(directory), local_files_only=True, torch_dtype=torch.float32).eval()
    with torch.inference_mode():
        states = [model(**tokenizer(text, return_tensors="pt")).last_hidden_state for text in TEXTS]
    vectors = [_pooled(state[0]) for state in states]
    return [[float(f"{number:.7g}") for number in vector.tolist()] for vector in vectors]


def _pooled(states: torch.Tensor) -> torch.Tensor:
    """One vector of the states of all tokens, a row each."""
    vector = {"last": states[-1], "first": states[0], "mean": states.mean(dim=0)}[POOLING]
    return torch.nn.functional.normalize(vector, dim=0) if NORMALIZE else vector


def reranker(directory: Path) -> list[float]:
    """The score of each pair, in the one string that the model was trained with."""
    tokenizer = AutoTokenizer.from_pretrained(str(directory), local_files_only=True, trust_remote_code=True)
    model = AutoModelForSequenceClassification.from_pretrained(
        str(directory), local_files_only=True, trust_remote_code=True, torch_dtype=torch.float32
    ).eval()
    prompts = [PROMPT.format(query=query, passage=passage) for query, passage in PAIRS]
    with torch.inference_mode():
        return [float(f"{model(**tokenizer(prompt, return_tensors='pt')).logits.item():.7g}") for prompt in prompts]


def pages(cache: Path) -> list[dict[str, Any]]:
    """What stands on each picture: the library's own example, with its models by name in ``cache``, a cache of the Hub's client."""
    constants.HF_HUB_CACHE = str(cache)
    analyzer = yomitoku.DocumentAnalyzer(configs={}, device="cpu")
    return [_told(analyzer(_bgr(PAGES / name))[0]) for name in PICTURES]


def _bgr(path: Path) -> np.ndarray:
    """The picture as ``cv2.imread`` gives it."""
    return np.ascontiguousarray(np.asarray(Image.open(path).convert("RGB"))[:, :, ::-1])


def _told(page: DocumentAnalyzerSchema) -> dict[str, Any]:
    """Words, paragraphs and tables with their places; which cell it is stands in a text, since numbers may be some pixels off."""
    cells = [[[f"{cell.row}, {cell.col}", cell.contents] for cell in table.cells] for table in page.tables]
    return {
        "words": [{"text": word.content, "at": word.points} for word in page.words],
        "paragraphs": [{"text": each.contents, "at": each.box} for each in page.paragraphs],
        "tables": [{"at": table.box, "cells": its} for table, its in zip(page.tables, cells, strict=True)],
    }


def main() -> int:
    """Record all of them, of the models that standard input lists as ``bundler fetch --json`` does."""
    models = {model["name"]: model for model in json.load(sys.stdin)["models"]}
    for name, inputs, record in (("sarashina", TEXTS, sarashina), ("reranker", PAIRS, reranker)):
        with tempfile.TemporaryDirectory() as folder:
            outputs = record(_laid_out(models[name], Path(folder) / name))
        _write(name, models[name], [list(each) if isinstance(each, tuple) else each for each in inputs], outputs)
    with tempfile.TemporaryDirectory() as folder:
        for name, model in models.items():
            if name.startswith("yomitoku-"):
                _cached(model, Path(folder))
        _write("yomitoku", models["yomitoku-recognizer"], list(PICTURES), pages(Path(folder)))
    return 0


def _cached(model: dict[str, Any], cache: Path) -> None:
    """The model in the layout of a cache of the Hub's client."""
    folder = cache / ("models--" + model["repo_id"].replace("/", "--"))
    _laid_out(model, folder / "snapshots" / model["commit"])
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text(model["commit"])


def _laid_out(model: dict[str, Any], directory: Path) -> Path:
    for file in model["files"]:
        path = directory / file["path"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(file["place"])
    return directory


def _write(name: str, model: dict[str, Any], inputs: list[Any], outputs: list[Any]) -> None:
    releases = f"torch {torch.__version__}, transformers {transformers.__version__}, yomitoku {yomitoku.__version__}"
    weights = {file["path"]: file["sha256"] for file in model["files"] if file["path"].endswith(".safetensors")}
    document = {
        "model": model["name"],
        "commit": None,
        "files": weights,
        "reference": f"the model card's example, float32, one at a time: {releases}",
        "inputs": inputs,
        "outputs": outputs,
    }
    path = HERE / f"{name}.json"
    path.write_text(json.dumps(document, ensure_ascii=False, indent=2) + "\n", "utf-8")
    print(f"{path}: {len(outputs)} outputs of {model['repo_id']}@{model['commit']}")


if __name__ == "__main__":
    sys.exit(main())
