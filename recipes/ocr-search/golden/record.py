"""Record what all-MiniLM-L6-v2 makes of a few texts, for the check `golden` of the recipe beside this folder.

    python record.py MODEL_DIRECTORY > minilm.json

MODEL_DIRECTORY holds the repository as the Hub has it. The program is the example of its model card, "Usage (HuggingFace
Transformers)", in float32 and with one text at a time: torch and transformers, no line of the service, and nothing
that the model says about its own pooling. A service that goes wrong, or a model that was broken before it was built into
an image, therefore differs from what is recorded here.

It was run with torch 2.13.0 and transformers 5.24.0 on a CPU.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import torch
import torch.nn.functional as F  # noqa: N812 - as on the model card
import transformers
from transformers import AutoModel, AutoTokenizer

WEIGHTS = "model.safetensors"
#: The card: "By default, input text longer than 256 word pieces is truncated." No text comes near.
LONGEST = 240
#: Of very different lengths, so that a batch of them is mostly padding; the long one goes beyond the 128 tokens to
#: which tokenizer.json cuts where nothing else is said.
TEXTS = (
    "Hello",
    "This is an example sentence",
    "Each sentence is converted",
    "The lens of a lighthouse is cut into rings, each only as deep as its curve needs; so says Müller, 1854.",
    "Whoever crosses the ice in spring looks at its colour first. Black ice, which is clear to the bottom, bears a "
    "walker from five centimetres on; white ice, which is snow that melted and froze again, bears half as much. Where a "
    "stream comes in, or reeds stand, the ice is thin even after weeks of frost, because moving water brings warmth "
    "from below. A long stick is carried across the body, so that it catches the edges of a hole. Whoever falls in "
    "turns round at once, for the ice that bore until then lies behind; kicks until the body lies flat in the water, "
    "slides out on the belly, and rolls away instead of standing up. Wet clothes come off only where it is warm.",
)


def mean_pooling(model_output: tuple[torch.Tensor, ...], attention_mask: torch.Tensor) -> torch.Tensor:
    """The mean over the tokens, padding left out; word for word that of the card."""
    token_embeddings = model_output[0]  # First element of model_output contains all token embeddings
    input_mask_expanded = attention_mask.unsqueeze(-1).expand(token_embeddings.size()).float()
    return torch.sum(token_embeddings * input_mask_expanded, 1) / torch.clamp(input_mask_expanded.sum(1), min=1e-9)


def record(directory: Path) -> dict[str, object]:
    """The file's content: what was asked, of which weights, and what came."""
    tokenizer = AutoTokenizer.from_pretrained(directory, local_files_only=True)
    model = AutoModel.from_pretrained(directory, local_files_only=True, dtype=torch.float32).eval()
    outputs = []
    for text in TEXTS:
        encoded_input = tokenizer([text], padding=True, truncation=True, return_tensors="pt")
        if encoded_input["input_ids"].shape[1] > LONGEST:
            sys.exit(f"a text has more than {LONGEST} tokens: {text[:40]}")
        with torch.no_grad():
            model_output = model(**encoded_input)
        embeddings = F.normalize(mean_pooling(model_output, encoded_input["attention_mask"]), p=2, dim=1)
        outputs.append([round(value, 7) for value in embeddings[0].tolist()])
    return {
        "model": "minilm",
        "commit": None,
        "files": {WEIGHTS: hashlib.sha256((directory / WEIGHTS).read_bytes()).hexdigest()},
        "reference": "the model card's example, float32, one text at a time: "
        f"torch {torch.__version__}, transformers {transformers.__version__}",
        "inputs": list(TEXTS),
        "outputs": outputs,
    }


def render(recorded: dict[str, object]) -> str:
    """JSON with an output a line."""
    head = {key: value for key, value in recorded.items() if key != "outputs"}
    outputs = ",\n".join(f"    {json.dumps(output)}" for output in recorded["outputs"])
    return json.dumps(head, indent=2, ensure_ascii=False)[:-2] + f',\n  "outputs": [\n{outputs}\n  ]\n}}'


if __name__ == "__main__":
    print(render(record(Path(sys.argv[1]))))
