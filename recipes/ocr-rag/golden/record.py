"""Record what the models of this recipe make of a few inputs, for its golden checks.

    bundler fetch .. --json | python record.py          # writes sarashina.json and reranker.json beside this file

The models are those of recipe.lock, laid out from bundler's cache. The programs are the examples of their cards, in float32
and with one input at a time: torch and transformers, no line of the service, and nothing that a model's folder says about
pooling. A service that goes wrong, or a model that was broken before it was built into an image, therefore differs from
what is recorded here. Look at the outputs before you keep them: the texts of one subject should be near each other.

    pip install torch transformers==RELEASE          # of the reranker: transformers_version in its config.json
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
import transformers
from transformers import AutoModel, AutoModelForSequenceClassification, AutoTokenizer

HERE = Path(__file__).resolve().parent
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


def main() -> int:
    """Record both, of the models that standard input lists as ``bundler fetch --json`` does."""
    models = {model["name"]: model for model in json.load(sys.stdin)["models"]}
    for name, inputs, record in (("sarashina", TEXTS, sarashina), ("reranker", PAIRS, reranker)):
        with tempfile.TemporaryDirectory() as folder:
            outputs = record(_laid_out(models[name], Path(folder) / name))
        _write(models[name], [list(each) if isinstance(each, tuple) else each for each in inputs], outputs)
    return 0


def _laid_out(model: dict[str, Any], directory: Path) -> Path:
    for file in model["files"]:
        path = directory / file["path"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(file["place"])
    return directory


def _write(model: dict[str, Any], inputs: list[Any], outputs: list[Any]) -> None:
    weights = {file["path"]: file["sha256"] for file in model["files"] if file["path"].endswith(".safetensors")}
    document = {
        "model": model["name"],
        "commit": None,
        "files": weights,
        "reference": f"the model card's example, float32, one at a time: torch {torch.__version__}, transformers {transformers.__version__}",
        "inputs": inputs,
        "outputs": outputs,
    }
    path = HERE / f"{model['name']}.json"
    path.write_text(json.dumps(document, ensure_ascii=False, indent=2) + "\n", "utf-8")
    print(f"{path}: {len(outputs)} outputs of {model['repo_id']}@{model['commit']}")


if __name__ == "__main__":
    sys.exit(main())
