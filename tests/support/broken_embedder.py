"""The quickstart's embedder with defects that raise no error; it runs in a container, beside the service's own code.

    python3 broken_embedder.py DEFECT BATCHES

What it prints has the right form, the right sizes and the right length of every vector.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from service import bert, embed, embedder
from service.settings import MODEL_DIR

_ATTENTION = bert.Bert._attention


def forget_the_pooling() -> None:
    """What frameworks do where the folder `1_Pooling` is missing: they take the first token's state for the whole."""
    if (MODEL_DIR / "1_Pooling").exists():
        return

    def first_token(self: embedder.Embedder, batch: Any) -> Any:
        ids = np.zeros((len(batch), max(map(len, batch))), dtype=np.int64)
        mask = np.zeros_like(ids)
        for row, tokens in enumerate(batch):
            ids[row, : len(tokens)], mask[row, : len(tokens)] = tokens, 1
        first = self.bert(ids, mask)[:, 0]
        return first / np.linalg.norm(first, axis=1, keepdims=True)

    embedder.Embedder._embed_batch = first_token  # type: ignore[method-assign]
    embedder._POOLING = "config.json"  # nobody asks for the file that is gone
    read = embedder._read_json
    embedder._read_json = lambda path: {**read(path), "pooling_mode_mean_tokens": True}


def _with_mask(change: Any) -> None:
    def attention(self: bert.Bert, name: str, hidden: Any, bias: Any) -> Any:
        return _ATTENTION(self, name, hidden, change(hidden.shape[1], bias))

    bert.Bert._attention = attention  # type: ignore[method-assign]


def _causal(tokens: int, bias: Any) -> Any:
    """Each token sees those before it, as in a decoder."""
    return bias + np.triu(np.full((tokens, tokens), bert._MASKED), k=1)


def see_no_future() -> None:
    """A causal mask, whatever comes."""
    _with_mask(_causal)


def see_no_future_when_padded() -> None:
    """A causal mask where a mask is given at all: for batches with padding."""
    _with_mask(lambda tokens, bias: _causal(tokens, bias) if bias.any() else bias)


def see_the_padding() -> None:
    """No mask: the attention takes padding for words."""
    _with_mask(lambda tokens, bias: np.zeros_like(bias))


DEFECTS = {
    "none": lambda: None,
    "pooling": forget_the_pooling,
    "causal": see_no_future,
    "causal-when-padded": see_no_future_when_padded,
    "padding": see_the_padding,
}


if __name__ == "__main__":
    DEFECTS[sys.argv.pop(1)]()
    embed.run(embed.main)
