"""The NV reranker: a Llama whose own code makes it look both ways, from the image's own directory and from nowhere else.

The directory is an absolute path, ``local_files_only`` is set, and the custom code is the copy in ``HF_MODULES_CACHE``, which
the build filled. Scores are asked for as the model was trained, one string for a question and a passage. After the
load the model has to show that it looks both ways, in padded batches too: under some releases of transformers the same
code is causal there, without an error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from backend.errors import ModelError
from backend.loading import Loaded, as_precision, device, making, tolerance
from backend.model_files import LockedModel, require_whole

#: Tokens that are read of a question and a passage. CHANGE: with another model, the longest input that its card states.
LONGEST = 512
#: CHANGE: with another model, the side on which its own tokenizer pads: "padding_side" in tokenizer_config.json, or "right".
PADDING_SIDE = "left"
#: What the model was trained with: one string, not a pair of texts. CHANGE: with another model, the prompt of its card, here and
#: in golden/record.py. Any other gives wrong scores, and no error.
PROMPT = "question:{query} \n \n passage:{passage}"
_BATCH = 16


class RerankerModelError(ModelError):
    """The reranker cannot be used."""


def prompt(query: str, passage: str) -> str:
    """``PROMPT`` of a question and a passage."""
    return PROMPT.format(query=query, passage=passage)


@dataclass(frozen=True)
class LlamaNvReranker:
    """The loaded model. Nothing in it changes after ``load``."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    loaded: Loaded

    @classmethod
    def load(cls, directory: Path, locked: LockedModel) -> LlamaNvReranker:
        """Load from ``directory``, an absolute path. Raises ModelError where it is not the model of the lock."""
        require_loadable(directory, locked)
        where = device()
        with making() as watch:
            try:
                tokenizer = AutoTokenizer.from_pretrained(
                    str(directory), local_files_only=True, trust_remote_code=True, padding_side=PADDING_SIDE
                )
                model = AutoModelForSequenceClassification.from_pretrained(
                    str(directory), local_files_only=True, trust_remote_code=True, **as_precision(where)
                )
            except Exception as error:
                raise RerankerModelError(directory, f"does not load: {error}") from error
            if tokenizer.pad_token is None:
                tokenizer.pad_token = tokenizer.eos_token
            if model.config.pad_token_id is None:
                model.config.pad_token_id = tokenizer.pad_token_id
            service = cls(model.eval().to(where), tokenizer, watch.loaded(locked, directory))
        service.require_bidirectional(directory)
        return service

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        """How well each text answers, any number of them: the higher the better."""
        starts = range(0, len(texts), _BATCH)
        return [
            score
            for start in starts
            for score in self.score_pairs([(query, text) for text in texts[start : start + _BATCH]])
        ]

    def score_pairs(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        """How well each passage answers its question. The batch is one."""
        batch = self.tokenizer(
            [prompt(query, passage) for query, passage in pairs],
            padding=True,
            truncation=True,
            max_length=LONGEST,
            return_tensors="pt",
        ).to(self.model.device)
        with torch.inference_mode():
            logits = self.model(**batch).logits
        return [float(score) for score in logits.view(-1).float().cpu()]

    def require_bidirectional(self, directory: Path) -> None:
        """Raise RerankerModelError unless a later token changes what stands before it, alone and beside padding."""
        for beside, side in ((0, "left"), (7, "left"), (7, "right")):
            if not self._later_changes_earlier(beside, side):
                place = f"in batches that are padded on the {side}" if beside else "without padding"
                raise RerankerModelError(
                    directory,
                    f"its attention is causal {place}: transformers is not the release that the model's code is for",
                )

    def _later_changes_earlier(self, padding: int, side: str) -> bool:
        """Whether the first token's hidden state depends on the last token, in a row with so many tokens of padding."""
        ids = self.tokenizer("a b c d", add_special_tokens=True)["input_ids"]
        other = [*ids[:-1], next(number for number in range(5, 100) if number not in ids)]
        pad = [self.tokenizer.pad_token_id] * padding
        full = [ids[-1]] * (len(ids) + padding)
        first = padding if side == "left" else 0
        states = []
        for row in (ids, other):
            rows = torch.tensor([pad + row if side == "left" else row + pad, full], device=self.model.device)
            mask = torch.ones_like(rows)
            mask[0] = torch.tensor([0] * padding + [1] * len(row) if side == "left" else [1] * len(row) + [0] * padding)
            with torch.inference_mode():
                hidden = self.model.base_model(input_ids=rows, attention_mask=mask)[0]
            states.append(hidden[0, first].float())
        apart = (states[0] - states[1]).abs().max() / states[0].abs().max()
        return bool(apart > tolerance(self.model.dtype))


def require_loadable(directory: Path, locked: LockedModel, *, thorough: bool = False) -> None:
    """Raise ModelError unless ``directory`` is an absolute path with the lock's files."""
    if not directory.is_absolute():
        raise RerankerModelError(directory, "not an absolute path, which libraries take for the name of a repository")
    require_whole(directory, locked, thorough=thorough)
